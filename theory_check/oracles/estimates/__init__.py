"""First-order estimates in table space: sampled or exact, and what samples cost."""

"""Claims by theme, each beside its negative controls, and the assumptions that they rest on."""

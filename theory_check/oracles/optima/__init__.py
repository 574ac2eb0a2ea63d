"""What a class of networks cannot represent: its floor, found by second-order fits."""

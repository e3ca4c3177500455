"""Any network of timm or torchvision by name: built, taken apart, and arranged for the core."""

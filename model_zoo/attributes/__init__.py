"""Which attributes there are for which network: sets of ImageNet classes, and what was learnt about them."""

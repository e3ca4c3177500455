"""What a picture's file says around its pixels, checked before a decoder believes it."""

"""A web form on this machine: picture, sound and class in, video out."""

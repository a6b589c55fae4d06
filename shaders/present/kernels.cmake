# image: into the target's image rather than a buffer.
ag_shaders(present panels panels:image=IMAGE=1 difference difference:image=IMAGE=1)

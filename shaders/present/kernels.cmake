ag_shaders(present panel.vert panel.frag)

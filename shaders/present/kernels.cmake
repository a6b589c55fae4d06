ag_shaders(present panel.vert panel.frag difference.frag)

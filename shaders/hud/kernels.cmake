ag_shaders(hud hud.vert hud.frag)

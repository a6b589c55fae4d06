// Targets that encode sRGB on writing want linear values; everything here is sRGB-coded.
vec3 srgb_decode(vec3 c)
{
    return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), greaterThan(c, vec3(0.04045)));
}

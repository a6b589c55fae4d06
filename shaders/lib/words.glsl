// Words by which workgroups hand data to each other inside of a kernel: each tells by its lowest
// bits in which turn it was written, so who waits for it asks for the word itself, again and again.
// Nobody counts arrivals, nobody fences (a quarter of the time of lib/meet.glsl), and a vector may
// come in parts. What is not handed over so is seen by others behind hand_over_rest()
// (lib/fence.glsl).
//
// Where all words of a place are written in each of its uses, and nobody asks for the next but one,
// one bit will do: use_bit(). Where some are left out in some turns, two bits number the turn:
// turn_mark(), 1 to 3; such words are zeros when the kernel starts and when it ends.
//     floats and keys     have them as their lowest bits
//     pairs of halves     likewise, or, where who writes does not know which two make a word, as the
//                         lowest bit of each half: both_halves() of a bit, halves_mark()
// `v & ~MARK_.. | mark` is such a word, `v ^ mark` the value, and here if its MARK_.. bits are 0.
// The buffers are coherent and volatile. The includer has lib/meet.glsl and begins with its
// meet_begin(): who has waited in vain (meet_lost()) waits no more.
//     uint spins = patience(), missing;
//     do { .. } while (missing != 0u && ++spins < SYNC_MAX_SPINS);
//     give_up(missing != 0u);
const uint MARK_BIT = 1u, MARK_BITS = 3u, MARK_HALVES = 0x10001u;

// `uses` of the place before this one, since it was zeros.
uint use_bit(uint uses)
{
    return (uses + 1u) & 1u;
}

uint turn_mark(uint turn)
{
    return 1u + turn % 3u;
}

uint both_halves(uint bit)
{
    return bit * MARK_HALVES;
}

uint halves_mark(uint mark)
{
    return (mark & 1u) | (mark & 2u) << 15u;
}

uint any_of(uint v)
{
    return v;
}

uint any_of(uvec4 v)
{
    return v.x | v.y | v.z | v.w;
}

uint patience()
{
    return meet_lost() ? SYNC_MAX_SPINS : 0u;
}

void give_up(bool missing)
{
    if (missing) {
        meet_failed = 1u;
    }
}

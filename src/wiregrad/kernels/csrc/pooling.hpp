// 2x2 max-pooling with ReLU, channels innermost, as a table: one for each path.
#pragma once

#include "common.hpp"

namespace wg {

// Float32 images x [b, 2 h, 2 w, c] and what comes of them y [b, h, w, c]; `rows` is b h.
struct Pooling {
  // y = max(0, the largest of the four); NaN stays.
  void (*forward)(Address x, Address y, Index rows, Index w, Index c);
  // dx = g at the first of the four that is y where y > 0, else 0.
  void (*backward)(Address x, Address y, Address g, Address dx, Index rows, Index w, Index c);
};

namespace portable {
extern const Pooling pooling;
}
#if WG_X86
namespace avx2 {
extern const Pooling pooling;
}
namespace avx512 {
extern const Pooling pooling;
}
#endif

}  // namespace wg

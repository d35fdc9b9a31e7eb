package app

// heapFloor is the size of a block that is never touched, so that it takes
// addresses and no memory. The collector lets as much garbage come together as
// there is heap: a heap of a few MiB would have it run dozens of times a second
// under load, and empty the pools of buffers each time.
const heapFloor = 12 << 20

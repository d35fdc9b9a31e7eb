//go:build race

package enforcer_test

// fullCrowd is smaller than that of the product's promise, 10,000: the race
// detector makes each connection cost several times as much.
const fullCrowd = 3_000

//go:build !race

package enforcer_test

const fullCrowd = 10_000

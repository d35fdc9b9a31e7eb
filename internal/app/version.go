package app

import "runtime/debug"

// version is set by the linker for releases.
var version = ""

// Version returns the version of this build: what the linker set, else what
// the Go toolchain knows of the module.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

package app

import (
	"io/fs"
	"maps"
	"os"
)

// A fileStamp tells one content of a file from the next, without reading it.
// Files are polled: notifications do not come from network file systems, and
// speak of the wrong file when Kubernetes swaps the symbolic link above it.
type fileStamp struct{ info fs.FileInfo } // nil = there is no such file

func stampOf(path string) fileStamp {
	info, err := os.Stat(path) // of what links lead to
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info}
}

func (s fileStamp) same(o fileStamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == o.info
	}
	return s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size() && s.info.Mode() == o.info.Mode() &&
		os.SameFile(s.info, o.info)
}

// A polledFile is a file between two looks.
type polledFile struct{ seen, read fileStamp }

// changed reports whether the file is another one than was read last, and
// nobody has written to it between this look and the one before.
func (p *polledFile) changed(now fileStamp) bool {
	settled := now.same(p.seen)
	p.seen = now
	return settled && !now.same(p.read)
}

// fileStamps are the files that a configuration names, by path.
type fileStamps map[string]fileStamp

func stampsOf(paths []string) fileStamps {
	stamps := make(fileStamps, len(paths))
	for _, p := range paths {
		stamps[p] = stampOf(p)
	}
	return stamps
}

func (s fileStamps) same(o fileStamps) bool { return maps.EqualFunc(s, o, fileStamp.same) }

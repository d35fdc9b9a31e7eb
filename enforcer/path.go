package enforcer

import (
	"net/url"
	"strings"
)

// application returns the application for a path: the longest prefix that
// ends at a segment's boundary. Where paths are nested it reports an error for
// a path that origins may read in more than one way; else every path belongs
// to the one application at "/", however it is spelled.
func (s *site) application(u *url.URL) (app *application, ambiguous bool) {
	if !s.nested {
		return s.apps[0], false
	}
	path, ok := canonicalPath(u)
	if !ok {
		return nil, true
	}
	for _, a := range s.apps { // longest first
		if underPrefix(path, a.path) {
			return a, false
		}
	}
	return nil, false
}

func underPrefix(path, prefix string) bool {
	if prefix == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// canonicalPath returns the path by which applications are told apart:
// decoded, without path parameters (";v=1", which some origins cut off before
// they route). It refuses what different origins resolve differently: encoded
// slashes and backslashes, NUL, empty and dot segments, and the bytes C0 and C1,
// which begin overlong spellings of such characters and nothing in UTF-8.
func canonicalPath(u *url.URL) (string, bool) {
	path := u.Path
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "\\\x00") {
		return "", false
	}
	if strings.IndexByte(path, 0xc0) >= 0 || strings.IndexByte(path, 0xc1) >= 0 {
		return "", false
	}
	// RawPath, not EscapedPath: that one re-encodes, and so hides, what it
	// takes for invalid.
	if strings.Contains(strings.ToLower(u.RawPath), "%2f") {
		return "", false
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		bare, _, parameters := strings.Cut(segment, ";")
		last := i == len(segments)-1
		if bare == "." || bare == ".." || bare == "" && (!last || parameters) {
			return "", false
		}
		segments[i] = bare
	}
	return "/" + strings.Join(segments, "/"), true
}

package v4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// The sizes of pages.
const (
	defaultPerPage = 25
	maxPerPage     = 1000
)

// A resultInfo says which page of a listing an answer is.
type resultInfo struct {
	Page       int `json:"page"`
	PerPage    int `json:"per_page"`
	Count      int `json:"count"`
	TotalCount int `json:"total_count"`
	TotalPages int `json:"total_pages"`
}

// page returns the part of a listing that the query asks for. Beyond the last
// page it is empty and not an error: clients go on until it is.
func page[T any](query url.Values, all []T) ([]T, *resultInfo, error) {
	number, size, err := pageOf(query)
	if err != nil {
		return nil, nil, err
	}
	pages := (len(all) + size - 1) / size
	part := []T{}
	if number <= pages {
		part = all[(number-1)*size : min(number*size, len(all))]
	}
	return part, &resultInfo{Page: number, PerPage: size, Count: len(part), TotalCount: len(all), TotalPages: pages}, nil
}

// pageOf returns which page of what size the query asks for.
func pageOf(query url.Values) (number, size int, err error) {
	if number, err = positive(query, "page", 1); err != nil {
		return 0, 0, err
	}
	size, err = positive(query, "per_page", defaultPerPage)
	return number, min(size, maxPerPage), err
}

// positive returns a number of the query that counts from 1.
func positive(query url.Values, name string, otherwise int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, at("?"+name, fault.New(fault.Invalid, "query", "%s=%.40q is not a number from 1 on", name, text).WithHint("send %s=%d", name, otherwise))
	}
	return n, nil
}

// instant returns a time of the query, zero if it is not given.
func instant(query url.Values, name string) (time.Time, error) {
	text := query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, at("?"+name, fault.New(fault.Invalid, "query", "%s=%.40q is not a time", name, text).
			WithHint("write it as RFC 3339 does, in UTC: 2026-03-01T12:00:00Z"))
	}
	return t, nil
}

// truth returns a flag of the query, false if it is not given.
func truth(query url.Values, name string) (bool, error) {
	switch text := query.Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, at("?"+name, fault.New(fault.Invalid, "query", "%s=%.40q is neither true nor false", name, text).WithHint("send %s=true", name))
	}
}

// etag is the entity tag of a version, RFC 9110 §8.8.3.
func etag(version string) string { return `"` + version + `"` }

// checkMatch refuses a change that was made for another version than the one
// that is stored now (RFC 9110 §13.1.1). Without If-Match it is for any.
func checkMatch(r *http.Request, version string) error {
	header := r.Header.Values("If-Match")
	if len(header) == 0 {
		return nil
	}
	tags := strings.Split(strings.Join(header, ","), ",")
	if slices.ContainsFunc(tags, func(tag string) bool { t := strings.TrimSpace(tag); return t == "*" || t == etag(version) }) {
		return nil
	}
	return fault.New(fault.Conflict, rulePrecondition, "somebody else has changed it meanwhile: its ETag is %s now", etag(version)).
		WithHint("read it again, and repeat the change with that ETag in If-Match")
}

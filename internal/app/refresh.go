package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/certvigil/certvigil/internal/crl"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/fetch"
	"github.com/certvigil/certvigil/internal/inventory"
)

const (
	lookEvery = 2 * time.Second // for lists that are due, and files that changed
	// maxListFile bounds a file that holds a list: base64 or PEM of the largest.
	maxListFile = crl.MaxSize + crl.MaxSize/2
	// maxRefreshes bounds what is held of lists that are on their way at once.
	maxRefreshes = 8
)

// A refresher keeps revocation lists current from their sources. A list that
// cannot be had, or is no good, leaves the last good one in force.
type refresher struct {
	app   *App
	fetch *fetch.Fetcher

	slots chan struct{} // held while one is refreshed

	mu    sync.Mutex
	busy  map[string]bool        // by item id
	files map[string]*polledFile // likewise
	wg    sync.WaitGroup
}

func (a *App) newRefresher() *refresher {
	return &refresher{
		app: a, fetch: fetch.New(fetch.Options{MaxBytes: maxListFile, Now: a.o.Now}),
		slots: make(chan struct{}, maxRefreshes), busy: map[string]bool{}, files: map[string]*polledFile{},
	}
}

// run looks at what is due until ctx ends.
func (r *refresher) run(ctx context.Context) error {
	defer r.wg.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	warned := false
	for {
		err := r.look(ctx)
		if err != nil && ctx.Err() == nil && !warned {
			r.app.log.Error("looking for revocation lists to refresh", "error", err)
		}
		warned = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look begins to refresh each list that is due, several at once: a slow source
// delays others only when there are as many of its kind.
func (r *refresher) look(ctx context.Context) error {
	lists, err := r.app.store.CRLs(ctx)
	if err != nil {
		return err
	}
	now := r.app.o.Now()
	for _, l := range lists {
		if l.Source == "" || !r.claim(l, now) {
			continue
		}
		r.wg.Go(func() {
			defer r.release(l.Item.ID)
			select {
			case r.slots <- struct{}{}:
				defer func() { <-r.slots }()
				r.refresh(ctx, l)
			case <-ctx.Done():
			}
		})
	}
	return nil
}

// claim reports whether a list is due and nobody is at it.
func (r *refresher) claim(l inventory.CRL, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := !isURL(l.Source) && r.file(l).changed(stampOf(l.Source))
	if r.busy[l.Item.ID] || l.RefreshAt != nil && now.Before(*l.RefreshAt) && !changed {
		return false
	}
	r.busy[l.Item.ID] = true
	return true
}

func (r *refresher) release(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, id)
}

// file returns what is known of the file of a list. One that this process has
// not read is read once: it may have changed meanwhile.
func (r *refresher) file(l inventory.CRL) *polledFile {
	f := r.files[l.Item.ID]
	if f == nil {
		f = &polledFile{}
		r.files[l.Item.ID] = f
	}
	return f
}

func isURL(source string) bool { return strings.Contains(source, "://") }

// refresh looks at one source and records what came of it.
func (r *refresher) refresh(ctx context.Context, l inventory.CRL) {
	next, err := r.update(ctx, l)
	switch {
	case ctx.Err() != nil || errors.Is(err, errMoved): // that is nobody's failure
	case err != nil:
		r.failed(ctx, l, err)
	default:
		r.succeeded(ctx, l, next)
	}
}

// errMoved tells that somebody removed the list meanwhile, or has it come from
// elsewhere.
var errMoved = errors.New("the list has another source now")

// update brings in the present list and returns it; it may be the old one.
func (r *refresher) update(ctx context.Context, l inventory.CRL) (inventory.CRL, error) {
	got, err := r.read(ctx, l)
	if err != nil || got.NotModified {
		return l, err
	}
	switch now, err := r.app.store.CRL(ctx, l.Item.ID); {
	case fault.Is(err, fault.NotFound) || err == nil && now.Source != l.Source:
		return l, errMoved
	case err != nil:
		return l, err
	}
	soon := r.app.o.Now().Add(minLook) // until it is known when it ends
	report, err := inventory.New(r.app.store, r.app.o.Now).AddCRL(ctx, inventory.CRLUpload{
		Data: got.Body, Source: l.Source, ETag: got.ETag, LastModified: got.LastModified, RefreshAt: &soon, IssuerKey: l.IssuerKey,
		Actor: inventory.Actor{Kind: inventory.ActorSystem, ID: "refresh"},
	})
	if err != nil {
		return l, err
	}
	if report.Created {
		r.app.log.Info("refreshed a revocation list", "issuer", l.Item.Subject, "entries", report.CRL.Entries, "next_update", report.CRL.NextUpdate)
	}
	return report.CRL, nil
}

func (r *refresher) read(ctx context.Context, l inventory.CRL) (fetch.Result, error) {
	if isURL(l.Source) {
		return r.fetch.Get(ctx, fetch.Request{URL: l.Source, ETag: l.ETag, LastModified: l.LastModified})
	}
	stamp := stampOf(l.Source) // before it is read: what is written meanwhile is another one
	body, err := readList(l.Source)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file(l).read = stamp
	return fetch.Result{Body: body}, err
}

// readList reads a regular file: a pipe could block for ever.
func readList(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(f, maxListFile+1))
	if err = errors.Join(err, f.Close()); err == nil && len(body) > maxListFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxListFile>>20)
	}
	return body, err
}

// succeeded records when to look again.
func (r *refresher) succeeded(ctx context.Context, l inventory.CRL, now inventory.CRL) {
	r.note(ctx, l, inventory.CRLRefresh{RefreshAt: nextLook(now, r.app.o.Now(), chance())})
	if l.FailingSince != nil {
		r.app.log.Info("a revocation list can be refreshed again", "issuer", l.Item.Subject, "source", sourceName(l.Source))
	}
}

// failed records why, and has it told when it goes on.
func (r *refresher) failed(ctx context.Context, l inventory.CRL, cause error) {
	now := r.app.o.Now()
	since := now
	if l.FailingSince != nil {
		since = *l.FailingSince
	}
	reason := strings.Join(strings.Fields(cause.Error()), " ")
	noted := inventory.CRLRefresh{Failure: reason, RefreshAt: now.Add(retryAfter(now.Sub(since), chance()))}
	if lasting(l, now) {
		noted.Notices = r.app.refreshNotices(l, reason, since, now)
	}
	r.app.metrics.CRLRefreshFailed(l.Item.Subject, l.IssuerKey)
	if l.Failure != reason {
		r.app.log.Warn("a revocation list cannot be refreshed; the last good one stays in force", "issuer", l.Item.Subject,
			"source", sourceName(l.Source), "error", reason, "hint", fault.Hint(cause), "next_update", l.NextUpdate, "retry_at", noted.RefreshAt.UTC())
	}
	r.note(ctx, l, noted)
}

func (r *refresher) note(ctx context.Context, l inventory.CRL, noted inventory.CRLRefresh) {
	if err := r.app.store.NoteCRLRefresh(ctx, l.Item.ID, noted); err != nil && ctx.Err() == nil {
		r.app.log.Error("recording the refresh of a revocation list", "issuer", l.Item.Subject, "error", err)
	}
}

func chance() float64 { return rand.Float64() } //nolint:gosec // G404: it only spreads looks over time

package app

import "context"

// warnRestored says what a store that was restored from a backup may send again:
// what waited when the backup was made, and what the next scan finds anew, under
// the ids that both had before.
func (a *App) warnRestored(ctx context.Context) {
	made, err := a.store.RestoredFrom(ctx)
	if err != nil {
		a.log.Warn("asking whether the store was restored", "error", err)
	}
	if made.IsZero() {
		return
	}
	a.restored.Store(true)
	waiting, due, err := a.again(ctx)
	if err != nil {
		a.log.Warn("counting what goes again", "error", err)
	}
	a.log.Warn("the store was restored from a backup: what was sent since then may go again, under the ids that it had",
		"made", made, "waiting", waiting, "due", due)
}

// again counts the deliveries that wait, and those that a scan would add.
func (a *App) again(ctx context.Context) (waiting, due int, err error) {
	backlogs, err := a.store.Waiting(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, b := range backlogs {
		waiting += b.Count
	}
	plan, _, err := a.scanner.Preview(ctx, a.o.Now())
	return waiting, len(plan.Deliveries), err
}

// forgetRestore follows the first scan that succeeded since warnRestored: what
// goes again is on its way.
func (a *App) forgetRestore(ctx context.Context) {
	if !a.restored.Load() {
		return
	}
	if err := a.store.ForgetRestore(ctx); err != nil {
		a.log.Warn("forgetting the restore", "error", err)
		return
	}
	a.restored.Store(false)
}

package feed

// countLocked tells the host how much memory the feed uses beside its bindings: for keys
// reported, announced, or in the journal, and for failures of rows. It does not count what
// a running batch or read has taken.
func (f *Feed) countLocked() {
	if f.closed != nil {
		return
	}
	now := f.pending.Size() + f.announcedBytes + f.journal.Size() + f.troubleBytes
	if now != f.counted {
		f.host.Kept(now - f.counted)
		f.counted = now
	}
}

// countTroublesLocked is countLocked for when failures of rows may have come or gone.
func (f *Feed) countTroublesLocked() {
	f.troubleBytes = 0
	for _, t := range f.troubles.Waiting {
		f.troubleBytes += t.Rows.Size()
	}
	for _, o := range f.omissions {
		f.troubleBytes += o.rows.Size()
	}
	f.countLocked()
}

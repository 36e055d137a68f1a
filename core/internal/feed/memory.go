package feed

// countLocked tells the host what the feed keeps beside its bindings: keys that are
// reported, announced, or remembered of what was read, and rows that cannot be shown.
// What a batch or a read has taken is not counted while it lasts.
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

// countTroublesLocked is countLocked after rows that cannot be shown may have come or
// gone.
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

package wire

import (
	"encoding/base64"
	"regexp"
)

// Subjects are where a binding is published over NATS: Log has its messages, At says
// where the last snapshot begins ([SnapshotAt]), and Beat who publishes ([Beat]).
type Subjects struct{ Log, At, Beat string }

// SnapshotAt says at which sequence of the stream the pages of a snapshot begin, and how
// long they are, in bytes.
type SnapshotAt struct {
	Seq   uint64 `json:"seq"`
	Bytes int    `json:"bytes"`
}

// Beat is what is said on the subject of beats, now and then and after each batch: who
// publishes, up to which sequence of the stream, the version that stands there, and
// whether the publisher's own rows are current ("live", or "stale").
type Beat struct {
	By      string `json:"by"`
	Seq     uint64 `json:"seq"`
	Version string `json:"version"`
	State   string `json:"state"`
}

var plainSubject = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// SubjectsOf returns the subjects of the binding, or member, with the id
// ([live.View.ID]), below the prefix. Ids that are no part of a subject stand there in
// base64.
func SubjectsOf(prefix, id string) Subjects {
	if !plainSubject.MatchString(id) {
		id = "_" + base64.RawURLEncoding.EncodeToString([]byte(id))
	}
	base := prefix + "." + id + "."
	return Subjects{base + "log", base + "at", base + "beat"}
}

package wire

import (
	"encoding/base64"
	"regexp"
)

// Subjects are the NATS subjects on which a binding is published: Log carries its messages,
// At the position of the last snapshot ([SnapshotAt]), and Beat the publisher's heartbeat
// ([Beat]). Followers ask on Mark, with the text of a mark, and are answered by a
// [MarkAnswer].
type Subjects struct{ Log, At, Beat, Mark string }

// SnapshotAt says at which sequence of the stream the pages of a snapshot begin, and their
// size in bytes.
type SnapshotAt struct {
	Seq   uint64 `json:"seq"`
	Bytes int    `json:"bytes"`
}

// Beat is the heartbeat, sent regularly and after each batch: the publisher, the last
// sequence of the stream that it published, the version there, and whether its own rows are
// current ("live" or "stale"). Lineage names its run of versions, see core.Grant.Lineage.
type Beat struct {
	By      string `json:"by"`
	Lineage string `json:"lineage,omitempty"`
	Seq     uint64 `json:"seq"`
	Version string `json:"version"`
	State   string `json:"state"`
}

// MarkAnswer says up to which sequence of the stream everything is published that a mark
// covers, by the publisher with that lineage. Problem says why there is none.
type MarkAnswer struct {
	Seq     uint64      `json:"seq,omitempty"`
	Lineage string      `json:"lineage,omitempty"`
	Problem MarkProblem `json:"problem,omitempty"`
}

// MarkProblem is why a publisher cannot say where a mark is reached.
type MarkProblem string

// A mark that is foreign to the publisher, and one that it has not reached yet, or about
// which it cannot be asked now: ask again.
const (
	MarkForeign MarkProblem = "foreign"
	MarkLate    MarkProblem = "late"
)

var plainSubject = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// SubjectsOf returns the subjects of the binding, or member, with the ID ([live.View.ID]),
// below the prefix. An ID that is not valid in a subject is encoded in base64.
func SubjectsOf(prefix, id string) Subjects {
	if !plainSubject.MatchString(id) {
		id = "_" + base64.RawURLEncoding.EncodeToString([]byte(id))
	}
	base := prefix + "." + id + "."
	return Subjects{base + "log", base + "at", base + "beat", base + "mark"}
}

package session

// MaxMarks is the bound of the marks that a session waits for.
const MaxMarks = maxMarks

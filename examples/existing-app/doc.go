// Command existing-app is a help desk as many are: Echo, Bun, a *sql.DB that
// reports use, sessions for the staff, JWT for partners, CORS, CSRF protection
// and Gzip. It was written without Bindery; live.go is what was added. The page
// docs/existing-app.md goes through it step by step.
package main

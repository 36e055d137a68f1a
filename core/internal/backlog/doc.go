// Package backlog holds a feed's open work: reports that no read has covered ([Pending]),
// members in trouble with their retries ([Troubles]), members that lack some reports
// ([Lags]), and the keys that batches have read, for reads beside them ([Journal]).
// Everything is bounded. Nothing has a lock: the owner must guard it.
package backlog

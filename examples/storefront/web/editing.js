// Editing carries a user's change to the server and settles what comes of it:
// saved, refused, or lost against somebody else's change.

import * as api from "./api.js";
import { explainOutside, resolveConflict } from "./dialogs.js";
import { changedFields } from "./rows.js";

// begin fetches the row's ETag, for a change to the row as the user sees it.
// It may be called well before save, while the user is still typing.
export function begin(seen) {
  const reading = api.read(seen.id);
  reading.catch(() => {}); // save is where the failure is told
  return { seen, reading };
}

// save writes the fields. It returns the row as the database has it now, or
// null when the user decided to leave it, and throws a Problem that is to be
// shown. Whatever was changed since the user looked is put to the user first.
export async function save(edit, wanted) {
  return settle(edit, wanted, (etag) => api.patch(edit.seen.id, wanted, etag));
}

// remove deletes the row, and returns whether it did.
export async function remove(edit) {
  const gone = await settle(edit, {}, async (etag) => {
    await api.remove(edit.seen.id, etag);
    return edit.seen;
  });
  return gone !== null;
}

async function settle({ seen, reading }, wanted, write) {
  for (;;) {
    let current;
    try {
      current = await reading;
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      await explainOrThrow(seen, wanted, problem);
      return null;
    }
    if (visiblyChanged(seen, current.row)) {
      if (!(await resolveConflict(seen, current.row, wanted))) return null;
      seen = current.row;
    }
    try {
      return await write(current.etag);
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      // It changed between the reading and the writing: look again, and ask.
      reading = api.read(seen.id);
    }
  }
}

// visiblyChanged leaves out the time of the last write: a row that was written
// without becoming different is nothing to ask about.
const visiblyChanged = (a, b) => changedFields(a, b).some((f) => f !== "updated_at");

// explainOrThrow tells a row that is not on sale from one that is gone.
async function explainOrThrow(seen, wanted, problem) {
  if (seen.active) throw problem;
  await explainOutside(seen, wanted);
}

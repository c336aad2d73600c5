import {join} from 'node:path';
import {readTextIfPresent} from '../platform/durable-file.ts';
import type {Destination} from './prepared-call.ts';
import {decodePath} from './routes.ts';

/** The text of the `.md` file that a path names among the scripts; null where it names none. Throws PATH_EXCLUDED, INVALID_QUERY. */
export async function readMarkdown({ground, path}: Destination): Promise<string | null> {
  const set = ground()?.set ?? null;
  if (set === null) return null;
  const wanted = decodePath(path).join('/');
  const file = set.deployment.files.find((each) => each.path === wanted);
  return file === undefined ? null : readTextIfPresent(join(set.deployment.directory, file.path));
}

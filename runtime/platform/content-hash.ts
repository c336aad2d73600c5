import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {join} from 'node:path';

/** SHA-256 in hex over the names and bytes of the files directly in `directory`. */
export async function hashFiles(directory: string, salt: string): Promise<string> {
  const hash = createHash('sha256').update(salt);
  for (const name of (await readdir(directory)).toSorted()) {
    hash.update(`\0${name}\0`);
    for await (const chunk of createReadStream(join(directory, name))) hash.update(chunk);
  }
  return hash.digest('hex');
}

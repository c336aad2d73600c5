/** `npm pack` calls this: a package holds no repository that could be asked for its commit. */
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {checkoutCommit, packedCommitFile} from './build-commit.ts';

const checkout = join(import.meta.dirname, '..');
const file = join(checkout, packedCommitFile);
await mkdir(dirname(file), {recursive: true});
await writeFile(file, `${(await checkoutCommit(checkout)) ?? ''}\n`);

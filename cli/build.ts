/** `npm run build`: compiles the command line to the single file `dist/branchtab`, or to the path that is given. */
import {mkdir} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {compileProgram} from '../runtime/platform/program-bundle.ts';

const outfile = resolve(process.argv[2] ?? join(import.meta.dirname, '../dist/branchtab'));
await mkdir(dirname(outfile), {recursive: true});
await compileProgram({entry: join(import.meta.dirname, 'main.ts'), outfile});
console.log(outfile);

/** `npm run generate`: bundles the Action for GitHub into the one file that is committed, or into the path that is given. */
import {join, resolve} from 'node:path';
import {bundleForNode} from '../runtime/platform/program-bundle.ts';

const outfile = resolve(
  process.argv[2] ?? join(import.meta.dirname, '../.github/actions/deploy/dist/index.mjs'),
);
await bundleForNode({entry: join(import.meta.dirname, 'action/main.ts'), outfile});

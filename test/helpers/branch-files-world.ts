import type {ExecutionContext} from 'ava';
import {readBranchFiles} from '../../reconciler/branch-files.ts';
import type {BranchFiles} from '../../reconciler/observation.ts';
import {openLocalSource} from '../../reconciler/sources/git-local.ts';
import {inspections} from '../../runtime/exec/inspections.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createGitWorld, type WorldFiles} from './git-world.ts';

/** Commits files to a real repository and reads them as the controller does. */
export async function readCommitted(t: ExecutionContext, files: WorldFiles): Promise<BranchFiles> {
  const world = await createGitWorld(t);
  const {path, environment} = world;
  const source = await openLocalSource({path, environment, clock: systemClock, log: silentLog});
  t.teardown(() => source.close());
  const commit = await world.commit('main', files);
  const signal = AbortSignal.timeout(60_000);
  const tree = await source.readHoody(commit, {signal});
  if (tree === null) throw new Error('the commit has no .hoody');
  return readBranchFiles(tree, {
    timeZone: 'UTC',
    checkScript: inspections.check,
    scriptImports: inspections.imports,
    readFile: (file) => source.readFile(commit, file, {signal}),
  });
}

import type {Issue} from '../schemas/issue.ts';
import {deployedScript} from './deployed-script.ts';
import type {ScriptFile} from './observation.ts';
import type {RepositoryFile} from './sources/source.ts';

const lockNames = ['bun.lock', 'bun.lockb', 'package-lock.json'];
const settingNames = ['.npmrc', 'bunfig.toml'];

export interface PackagesEntry {
  /** Directory of the repository, `.` for its root. */
  readonly directory: string;
  readonly issue: (code: string, message: string) => Issue;
}

/**
 * The files that say which packages are installed beside the scripts, from another directory of the repository.
 * They lie beside the scripts then, as if they had been committed there.
 */
export async function readPackageFiles(
  {directory, issue}: PackagesEntry,
  own: readonly ScriptFile[],
  readFile: (path: string) => Promise<RepositoryFile>,
): Promise<{scripts: readonly ScriptFile[]; issues: readonly Issue[]}> {
  const refused = (code: string, message: string) => ({scripts: [], issues: [issue(code, message)]});
  if (own.some(({path}) => path === 'package.json'))
    return refused('packages_twice', 'There is a .hoody/exec/package.json already. Keep one of the two.');
  const read = async (name: string): Promise<ScriptFile | null> => {
    const file = await readFile(directory === '.' ? name : `${directory}/${name}`);
    return file.kind === 'file' ? deployedScript(name, file.bytes) : null;
  };
  const [manifest, locks, settings] = await Promise.all([
    read('package.json'),
    Promise.all(lockNames.map(read)),
    Promise.all(settingNames.map(read)),
  ]);
  const lock = locks.find((file) => file !== null);
  if (manifest === null || lock === undefined) {
    return refused(
      'packages_missing',
      `${directory} has no ${manifest === null ? 'package.json' : `lock file (${lockNames.join(', ')})`}. Commit it, or leave out \`packages\`.`,
    );
  }
  return {scripts: [manifest, lock, ...settings.filter((file) => file !== null)], issues: []};
}

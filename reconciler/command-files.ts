import type {Issue} from '../schemas/issue.ts';
import type {NamedJob} from '../schemas/named-jobs.ts';

/** Files of a commit by path, with whether they can be executed. */
export type FilesOfTree = ReadonlyMap<string, {readonly executable: boolean}>;

const inWorkspace = /(?:\/srv|\$\{HOODY_WORKSPACE\}|\$HOODY_WORKSPACE)"?\/([\w.-]+(?:\/[\w.-]+)*)/g;
const relativeProgram = /^(?:\.\/)?([\w.-]+(?:\/[\w.-]+)+|(?<=\.\/)[\w.-]+)(?=\s|$)/;

/** What is wrong with the files that a job's command names: they are missing, elsewhere, or cannot be executed. */
export function fileWarnings({file, text, job: {line, command}}: NamedJob, tree: FilesOfTree): Issue[] {
  const start = Math.max(0, text.indexOf(command.slice(0, 40)));
  const warning = (at: number, code: string, message: string): Issue => ({
    file,
    line,
    column: start + at + 1,
    code,
    message,
  });
  const problem = (path: string, at: number, isProgram: boolean): Issue[] => {
    const known = tree.get(path);
    if (known === undefined)
      return isDirectory(path, tree)
        ? []
        : [warning(at, 'file_missing', `There is no file \`${path}\` in this commit.`)];
    if (!isProgram || known.executable) return [];
    const advice = `run: git update-index --chmod=+x ${path}`;
    return [warning(at, 'file_not_executable', `\`${path}\` is not executable; ${advice}`)];
  };
  const relative = relativeProgram.exec(command);
  if (relative?.[1] !== undefined) {
    const found = problem(relative[1], 0, true);
    if (!tree.has(relative[1])) return found;
    const message = `\`${relative[0]}\` is looked for in the data directory, where jobs begin; the file of the branch is /srv/${relative[1]}, or $HOODY_WORKSPACE/${relative[1]} at every level.`;
    return [...found, warning(0, 'file_elsewhere', message)];
  }
  return [...command.matchAll(inWorkspace)].flatMap(({0: named, 1: path = '', index}) => {
    const before = command.slice(0, index).trimEnd().replace(/["']$/, '').trimEnd();
    // What is written need not be there.
    if (/>$/.test(before) || /^[*?[$]/.test(command.slice(index + named.length))) return [];
    return problem(path, index, before === '' || /(?:[;|(]|&&)$/.test(before));
  });
}

function isDirectory(path: string, tree: FilesOfTree): boolean {
  for (const known of tree.keys()) if (known.startsWith(`${path}/`)) return true;
  return false;
}

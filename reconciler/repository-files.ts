import {dirname, join, normalize} from 'node:path';
import {scriptPathSchema} from '../schemas/exec-api.ts';
import type {Issue} from '../schemas/issue.ts';
import {repositoryFilesDirectory, scriptsDirectory} from '../schemas/script-settings.ts';
import type {CommitReader} from './branch-files.ts';
import {deployedScript} from './deployed-script.ts';
import {isLfsPointer, lfsPointerRefusal} from './lfs-pointer.ts';
import type {ScriptFile} from './observation.ts';
import type {RepositoryFile} from './sources/source.ts';
import {decodeUtf8} from './utf8.ts';

/** Why a file cannot be deployed. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** Files of one commit outside of `.hoody/exec`, gathered with what they import by relative path. */
export interface RepositoryFiles {
  /** Null where the file is there; what it imports is read too. */
  add(path: string): Promise<Refusal | null>;
  collected(): {readonly scripts: readonly ScriptFile[]; readonly issues: readonly Issue[]};
}

const maxFiles = 1000;
const maxBytes = 64 * 1024 * 1024;
const isScript = /\.[jt]sx?$/;
export function createRepositoryFiles({
  readFile,
  checkScript,
  scriptImports,
}: Omit<CommitReader, 'timeZone'>): RepositoryFiles {
  const looked = new Map<string, Promise<RepositoryFile>>();
  const included = new Map<string, Uint8Array>();
  const issues: Issue[] = [];
  let bytes = 0;

  function look(path: string): Promise<RepositoryFile> {
    const known = looked.get(path);
    if (known !== undefined) return known;
    // A name that no deployment may have is one that is not there.
    const file = scriptPathSchema.safeParse(path).success ? readFile(path) : absent;
    looked.set(path, file);
    return file;
  }

  async function add(path: string): Promise<Refusal | null> {
    if (included.has(path)) return null;
    const file = await look(path);
    const refusal = refusalOf(path, file);
    if (refusal !== null || file.kind !== 'file') return refusal;
    bytes += file.bytes.byteLength;
    if (included.size === maxFiles || bytes > maxBytes) {
      return {
        code: 'files_too_many',
        message: `The manifests bring in more than ${maxFiles} files or ${maxBytes} bytes. Bundle them, or import less.`,
      };
    }
    included.set(path, file.bytes);
    return isScript.test(path) ? addImports(path, file.bytes) : null;
  }

  async function addImports(path: string, content: Uint8Array): Promise<Refusal | null> {
    const text = decodeUtf8(content);
    if (text === null) return {code: 'encoding_invalid', message: `${path} is not UTF-8 text.`};
    const problems = await checkScript({path, text});
    issues.push(...problems.map((issue) => ({...issue, file: path})));
    if (problems.length > 0) return null;
    for (const {module, line, column} of await scriptImports({path, text})) {
      if (!/^\.\.?\//.test(module)) continue;
      const refusal = await addImport(normalize(join(dirname(path), module)), module);
      if (refusal !== null) issues.push({file: path, line, column, ...refusal});
    }
    return null;
  }

  async function addImport(target: string, module: string): Promise<Refusal | null> {
    if (target.startsWith('..')) {
      return {
        code: 'import_outside',
        message: `"${module}" is outside of the repository. Import a file of the repository.`,
      };
    }
    for (const path of candidates(target)) {
      const {kind} = await look(path);
      if (kind !== 'absent' && kind !== 'directory') return add(path);
    }
    return {
      code: 'import_missing',
      message: `"${module}" is not in the repository. Correct the path or add the file.`,
    };
  }

  return {
    // A script of `.hoody/exec` is deployed and checked as such.
    add: async (path) => (path.startsWith(scriptsDirectory) ? refusalOf(path, await look(path)) : add(path)),
    collected: () => ({
      scripts: [...included].map(([path, content]) =>
        deployedScript(`${repositoryFilesDirectory}/${path}`, content),
      ),
      issues,
    }),
  };
}

const absent: Promise<RepositoryFile> = Promise.resolve({kind: 'absent'});

function refusalOf(path: string, file: RepositoryFile): Refusal | null {
  switch (file.kind) {
    case 'file':
      return isLfsPointer(file.bytes) ? {code: 'lfs_pointer', message: `${path} ${lfsPointerRefusal}`} : null;
    case 'absent':
      return {
        code: 'file_missing',
        message: `${path} is not in the repository. Correct the path or add the file.`,
      };
    case 'directory':
      return {code: 'file_invalid', message: `${path} is a directory. Name a .ts or .js file.`};
    case 'link':
      return {
        code: 'file_is_link',
        message: `${path} is, or goes through, a symbolic link. Name the file itself.`,
      };
    case 'too_large':
      return {code: 'file_too_large', message: `${path} has ${file.size} bytes; the limit is 8 MiB.`};
    default:
      return file satisfies never;
  }
}

/** As TypeScript resolves: the path itself, with an extension, as a directory; `.js` may stand for `.ts`. */
function candidates(target: string): string[] {
  const typed = /\.jsx?$/.test(target) ? [target.replace(/\.js(x?)$/, '.ts$1')] : [];
  const endings = ['.ts', '.tsx', '.js', '.jsx', '.json', '/index.ts', '/index.js'];
  return [target, ...typed, ...endings.map((ending) => `${target}${ending}`)];
}

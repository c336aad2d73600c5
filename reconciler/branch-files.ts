import {createHash} from 'node:crypto';
import {parseDocument} from 'yaml';
import {branchSettingsPath, parseBranchSettings} from '../schemas/branch-settings.ts';
import {crontabTestIssues, crontabTestPath} from '../schemas/crontab-test.ts';
import type {Issue} from '../schemas/issue.ts';
import {scriptsDirectory} from '../schemas/script-settings.ts';
import {deployedScript} from './deployed-script.ts';
import {crontabIssues} from './desired.ts';
import {isLfsPointer, lfsPointerRefusal} from './lfs-pointer.ts';
import {type ManifestFile, resolveManifests} from './manifest-files.ts';
import type {BranchFiles, CrontabFile, ScriptFile, SettingsFile} from './observation.ts';
import {createRepositoryFiles} from './repository-files.ts';
import type {HoodyFile, HoodyTree, RepositoryFile} from './sources/source.ts';
import {decodeUtf8} from './utf8.ts';

/** Finds what is wrong in a script's text. Never throws for what is in it. */
export type ScriptCheck = (script: {path: string; text: string}) => Promise<Issue[]>;

/** Finds what a script that parses imports; places count from 1. */
export type ScriptImports = (script: {
  path: string;
  text: string;
}) => Promise<readonly {readonly module: string; readonly line: number; readonly column: number}[]>;

/** Ways to look into scripts and files of one commit. */
export interface CommitReader {
  readonly checkScript: ScriptCheck;
  readonly scriptImports: ScriptImports;
  readonly readFile: (path: string) => Promise<RepositoryFile>;
  /** Of lines of crontabs without one. */
  readonly timeZone: string;
}

/** Remembers what was found in each text: a push changes few scripts, and a look without a push none. */
export function rememberScriptIssues(check: ScriptCheck, most: number): ScriptCheck {
  const known = new Map<string, Issue[]>();
  return async (script) => {
    const key = `${script.path}\0${sha256(Buffer.from(script.text))}`;
    const remembered = known.get(key);
    if (remembered !== undefined) return remembered;
    const issues = await check(script);
    const [oldest] = known.keys();
    if (known.size >= most && oldest !== undefined) known.delete(oldest);
    known.set(key, issues);
    return issues;
  };
}

const crontabPath = '.hoody/crontab';
const userCrontabs = '.hoody/crontab.d/';
const isManifest = /^\.hoody\/exec\/[^/]+\.ya?ml$/;
/** The controller waits while such a file is parsed. */
const maxYamlBytes = 256 * 1024;
const userName = /^(?!-)[A-Za-z0-9_.-]{1,32}$/;

/**
 * Sorts the files of a commit into crontabs and scripts, adds what its manifests name elsewhere in the repository,
 * and collects every issue that can be seen without running anything.
 */
export async function readBranchFiles(tree: HoodyTree, reader: CommitReader): Promise<BranchFiles> {
  const {crontabs, issues: fileProblems} = readCrontabs(tree);
  const scripts: ScriptFile[] = [];
  const manifests: ManifestFile[] = [];
  const issues: Issue[] = [...fileProblems];
  for (const file of tree.files) {
    if (file.bytes === null) {
      issues.push(issueAt(file, 'file_too_large', `The file has ${file.size} bytes; the limit is 8 MiB.`));
      continue;
    }
    const {path, bytes} = file;
    if (isLfsPointer(bytes)) {
      issues.push(issueAt(file, 'lfs_pointer', `The file ${lfsPointerRefusal}`));
      continue;
    }
    if (isCrontab(path) || path === crontabTestPath || path === branchSettingsPath) continue;
    if (path.startsWith(scriptsDirectory)) {
      const script = deployedScript(path.slice(scriptsDirectory.length), bytes);
      scripts.push(script);
      if (script.path.startsWith('_hoody/'))
        issues.push(issueAt(file, 'path_reserved', '_hoody is reserved; move the file.'));
      const text = isManifest.test(path) ? decodeUtf8(bytes) : null;
      if (text === null) issues.push(...(await fileIssues(file, bytes, reader.checkScript)));
      else manifests.push({file: path, text});
    } else if (/\.ya?ml$/.test(path)) issues.push(...yamlIssues(path, bytes));
  }
  const tests = ownYaml(tree, crontabTestPath);
  const settingsFile = ownYaml(tree, branchSettingsPath);
  issues.push(...tests.issues, ...settingsFile.issues);
  if (tests.text !== null && crontabIssues(crontabs).length === 0)
    issues.push(...crontabTestIssues(tests.text, {crontabs, timeZone: reader.timeZone}));
  const parsed = settingsFile.text === null ? null : parseBranchSettings(settingsFile.text);
  issues.push(...(parsed?.issues ?? []));
  const settings: SettingsFile | null =
    parsed === null || parsed.value === null ? null : {settings: parsed.value, positionOf: parsed.positionOf};
  const repository = createRepositoryFiles(reader);
  const added = await resolveManifests(manifests, scripts, repository, reader.readFile);
  return {
    commit: tree.commit,
    rootTree: tree.rootTree,
    crontabs,
    settings,
    scripts: [...scripts, ...added.scripts],
    mounts: added.mounts,
    issues: [...issues, ...added.issues],
  };
}

/** The text of a file that is parsed here; null where it is not there or cannot be. */
function ownYaml({files}: HoodyTree, path: string): {text: string | null; issues: readonly Issue[]} {
  const file = files.find((each) => each.path === path);
  // What is too large for git or stands elsewhere has its issue already.
  if (file?.bytes == null || isLfsPointer(file.bytes)) return {text: null, issues: []};
  const refused = (code: string, message: string) => ({text: null, issues: [issueAt(file, code, message)]});
  if (file.bytes.byteLength > maxYamlBytes)
    return refused('file_too_large', `The file is larger than ${maxYamlBytes} bytes; make it smaller.`);
  const text = decodeUtf8(file.bytes);
  return text === null ? refused('encoding_invalid', 'The file is not UTF-8 text.') : {text, issues: []};
}

/** The crontabs of a commit by user; `root` always has one. Issues name files whose user or encoding is wrong. */
export function readCrontabs({files}: Pick<HoodyTree, 'files'>): {crontabs: CrontabFile[]; issues: Issue[]} {
  const crontabs: CrontabFile[] = [];
  const issues: Issue[] = [];
  for (const file of files) {
    const {path, bytes} = file;
    if (!isCrontab(path) || bytes === null || isLfsPointer(bytes)) continue;
    const user = path === crontabPath ? 'root' : path.slice(userCrontabs.length);
    const text = decodeUtf8(bytes);
    const refuse = (code: string, message: string) => issues.push(issueAt(file, code, message));
    if (!userName.test(user))
      refuse('user_invalid', `"${user}" is not a user name; use letters, digits, ".", "_" and "-".`);
    else if (user === 'root' && path !== crontabPath)
      refuse('user_invalid', 'The crontab of root is .hoody/crontab; move the lines there.');
    else if (text === null) refuse('encoding_invalid', 'The crontab is not UTF-8 text.');
    else crontabs.push({file: path, user, text, sha256: sha256(bytes)});
  }
  if (!crontabs.some(({user}) => user === 'root'))
    crontabs.unshift({file: crontabPath, user: 'root', text: '', sha256: sha256(new Uint8Array())});
  return {crontabs, issues};
}

function isCrontab(path: string): boolean {
  return path === crontabPath || path.startsWith(userCrontabs);
}

async function fileIssues(file: HoodyFile, bytes: Uint8Array, checkScript: ScriptCheck): Promise<Issue[]> {
  if (/\.ya?ml$/.test(file.path)) return yamlIssues(file.path, bytes);
  if (!/\.[jt]s$/.test(file.path)) return [];
  const text = decodeUtf8(bytes);
  if (text === null) return [issueAt(file, 'encoding_invalid', 'The script is not UTF-8 text.')];
  const issues = await checkScript({path: file.path, text});
  return issues.map((issue) => ({...issue, file: file.path}));
}

function yamlIssues(path: string, bytes: Uint8Array): Issue[] {
  const text = decodeUtf8(bytes);
  if (text === null)
    return [
      {file: path, line: 1, column: 1, code: 'encoding_invalid', message: 'The file is not UTF-8 text.'},
    ];
  return parseDocument(text, {prettyErrors: false}).errors.map((error) => {
    const before = text.slice(0, error.pos[0]);
    const column = before.length - before.lastIndexOf('\n');
    return {
      file: path,
      line: before.split('\n').length,
      column,
      code: 'yaml_invalid',
      message: error.message,
    };
  });
}

function issueAt(file: {path: string}, code: string, message: string): Issue {
  return {file: file.path, line: 1, column: 1, code, message};
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

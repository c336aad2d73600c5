import {
  environmentFileText,
  type Manifest,
  type ManifestScript,
  parseManifest,
} from '../schemas/exec-manifest.ts';
import type {Issue} from '../schemas/issue.ts';
import {repositoryFilesDirectory, type ScriptMount, scriptsDirectory} from '../schemas/script-settings.ts';
import type {ParsedYaml} from '../schemas/yaml-file.ts';
import {deployedScript} from './deployed-script.ts';
import {type PackagesEntry, readPackageFiles} from './manifest-packages.ts';
import type {ScriptFile} from './observation.ts';
import type {RepositoryFiles} from './repository-files.ts';
import type {RepositoryFile} from './sources/source.ts';

export interface ManifestFile {
  /** From the repository's root. */
  readonly file: string;
  readonly text: string;
}

export interface ManifestResult {
  /** Files that the manifests add to the deployment. */
  readonly scripts: readonly ScriptFile[];
  readonly mounts: readonly ScriptMount[];
  readonly issues: readonly Issue[];
}

type ParsedManifest = ParsedYaml<Manifest>;

interface Entry {
  readonly script: ManifestScript;
  readonly issue: (key: keyof ManifestScript, code: string, message: string) => Issue;
}

/**
 * What the manifests of a commit add to its scripts: files from elsewhere in the repository with all that they
 * import by relative path, variables, and settings. Everything that is wrong is an issue with its position.
 */
export async function resolveManifests(
  manifests: readonly ManifestFile[],
  own: readonly ScriptFile[],
  repository: RepositoryFiles,
  readFile: (path: string) => Promise<RepositoryFile>,
): Promise<ManifestResult> {
  const parsed = manifests.map(({file, text}) => ({file, ...parseManifest(text, file)}));
  const entries = parsed.flatMap(({file, value, positionOf}) =>
    (value?.scripts ?? []).map(
      (script, index): Entry => ({
        script,
        issue: (key, code, message) => ({
          file,
          ...positionOf(['scripts', index, key]),
          code,
          message,
        }),
      }),
    ),
  );
  const issues = [...parsed.flatMap((manifest) => manifest.issues), ...duplicates(entries)];
  const mounts: ScriptMount[] = [];
  const environments = new Map<string, string>();
  for (const {script, issue} of entries) {
    const found =
      script.file === undefined ? ownFile(script, own) : await mountedFile(script.file, repository);
    if (typeof found !== 'string') {
      issues.push(issue(found.key, found.code, found.message));
      continue;
    }
    const taken = script.file === undefined ? null : clash(script, found, own);
    if (taken !== null) {
      issues.push(
        issue('path', 'path_taken', `${taken} answers at ${script.path} already. Choose another path.`),
      );
      continue;
    }
    mounts.push({path: script.path, file: found, settings: settingsOf(script)});
    if (script.env === undefined) continue;
    const problem = addEnvironment(environments, own, found, script.env);
    if (problem !== null) issues.push(issue('env', 'env_conflict', problem));
  }
  const added = repository.collected();
  const [packages, ...others] = packagesEntries(parsed);
  issues.push(
    ...others.map(({issue}) => issue('packages_twice', 'Another manifest names `packages` already.')),
  );
  const installed = packages === undefined ? noPackages : await readPackageFiles(packages, own, readFile);
  return {
    scripts: [
      ...installed.scripts,
      ...added.scripts,
      ...[...environments].map(([path, text]) => deployedScript(path, Buffer.from(text))),
    ],
    mounts,
    issues: [...issues, ...installed.issues, ...added.issues],
  };
}

const noPackages = {scripts: [], issues: []};

function packagesEntries(parsed: readonly (ParsedManifest & {file: string})[]): PackagesEntry[] {
  return parsed.flatMap(({file, value, positionOf}) => {
    const directory = value?.packages;
    if (directory === undefined) return [];
    const at = {file, ...positionOf(['packages'])};
    return [{directory, issue: (code: string, message: string) => ({...at, code, message})}];
  });
}

interface Problem {
  readonly key: keyof ManifestScript;
  readonly code: string;
  readonly message: string;
}

function duplicates(entries: readonly Entry[]): Issue[] {
  const seen = new Set<string>();
  return entries.flatMap(({script: {path}, issue}) => {
    if (!seen.has(path)) {
      seen.add(path);
      return [];
    }
    return [issue('path', 'path_duplicate', `${path} is named twice in the manifests. Keep one of them.`)];
  });
}

/** The script that an entry without `file` speaks of. */
function ownFile({path}: ManifestScript, own: readonly ScriptFile[]): string | Problem {
  const candidates = routeFiles(path);
  const found = candidates.find((candidate) => own.some((file) => file.path === candidate));
  if (found !== undefined) return found;
  return {
    key: 'path',
    code: 'script_missing',
    message: `There is no .hoody/exec/${candidates[0]}. Add it, or name the script's \`file\` in the repository.`,
  };
}

async function mountedFile(file: string, repository: RepositoryFiles): Promise<string | Problem> {
  const refusal = await repository.add(file);
  if (refusal !== null) return {key: 'file', code: refusal.code, message: refusal.message};
  return file.startsWith(scriptsDirectory)
    ? file.slice(scriptsDirectory.length)
    : `${repositoryFilesDirectory}/${file}`;
}

/** The script of `.hoody/exec` that has an entry's path already and is another file; null without one. */
function clash({path}: ManifestScript, file: string, own: readonly ScriptFile[]): string | null {
  const taken = routeFiles(path).find((candidate) => own.some((script) => script.path === candidate));
  return taken === undefined || taken === file ? null : `.hoody/exec/${taken}`;
}

function routeFiles(path: string): [string, ...string[]] {
  return [`${path}.ts`, `${path}.js`, `${path}/index.ts`, `${path}/index.js`];
}

function settingsOf({
  timeout,
  methods,
  warm,
  concurrency,
  description,
}: ManifestScript): ScriptMount['settings'] {
  return {
    ...(timeout === undefined ? {} : {timeout_ms: timeout}),
    ...(methods === undefined ? {} : {methods: [...new Set(methods)]}),
    ...(warm === undefined ? {} : {warm}),
    ...(concurrency === undefined ? {} : {concurrency}),
    ...(description === undefined ? {} : {description}),
  };
}

/** Variables become the `.env` file of the script, which belongs to the file and not to the path. */
function addEnvironment(
  environments: Map<string, string>,
  own: readonly ScriptFile[],
  file: string,
  variables: Readonly<Record<string, string>>,
): string | null {
  const path = file.replace(/\.[jt]s$/, '.env');
  const text = environmentFileText(variables);
  if (own.some((script) => script.path === path))
    return `.hoody/exec/${path} sets variables of this script already. Keep one of them.`;
  if ((environments.get(path) ?? text) !== text)
    return 'The same file has other variables at another path. Give each path a file of its own.';
  environments.set(path, text);
  return null;
}

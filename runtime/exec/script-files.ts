import {extname, join} from 'node:path';
import type {DeploymentInput} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import type {
  DeletedScript,
  ListedScript,
  MovedScript,
  MoveScript,
  Script,
  ScriptFilter,
  ScriptList,
  ScriptNode,
  WriteScriptInput,
  WrittenScript,
} from '../../schemas/exec-scripts.ts';
import {
  type CurrentDeployment,
  type DeploymentStore,
  deploymentDigest,
  sha256Of,
} from './deployment-store.ts';
import {listedScript, matchesFilter} from './listed-script.ts';
import {readMagicComments, redactMagicComments} from './magic-comments.ts';
import {refuseReserved} from './routes.ts';
import {scheduledScript} from './schedule-scan.ts';
import {checkScriptContent} from './script-content.ts';
import {redactSecrets, restoreSecrets} from './script-secrets.ts';
import {scriptTree} from './script-tree.ts';
import type {Validation} from './validation.ts';

/** Reads and changes single scripts of the deployment. Paths are checked for their form by the caller. */
export interface ScriptFiles {
  /** Throws PATH_EXCLUDED, SCRIPT_EXISTS, SCRIPT_INVALID, INVALID_JSON, and SCRIPT_NOT_FOUND where `createDirs` is false. */
  write(script: WriteScriptInput): Promise<WrittenScript>;
  /** Replaces many texts at once, without looking into them. */
  writeAll(
    scripts: readonly {path: string; content: string}[],
    options?: {remove?: readonly string[]},
  ): Promise<void>;
  /** With tokens hidden; a write of that text keeps them. */
  read(path: string): Promise<Script>;
  /** The text as it is stored. Throws SCRIPT_NOT_FOUND, PATH_EXCLUDED. */
  source(path: string): Promise<string>;
  list(options: {directory: string; recursive: boolean} & ScriptFilter): Promise<ScriptList>;
  tree(options: {
    baseDir: string;
    maxDepth: number;
    includeMetadata: boolean;
  }): Promise<readonly ScriptNode[]>;
  /** Throws SCRIPT_NOT_FOUND, SCRIPT_EXISTS, PATH_EXCLUDED. */
  move(request: MoveScript): Promise<MovedScript>;
  delete(path: string): Promise<DeletedScript>;
}

/** Makes what it gives for the present set the deployment. */
export type ReplaceSet = (change: (present: CurrentDeployment | null) => DeploymentInput) => Promise<unknown>;

export function createScriptFiles({
  store,
  root,
  validation,
  replaceSet,
}: {
  store: DeploymentStore;
  /** What `resolvedPath` is below before the first deployment. */
  root: string;
  validation: Validation;
  replaceSet: ReplaceSet;
}): ScriptFiles {
  function paths(): readonly string[] {
    return (store.current()?.files ?? []).map(({path}) => path);
  }

  /** Those that people may see: files that a manifest brought are not scripts of their own. */
  function visible(below: string): readonly string[] {
    const prefix = below === '' ? '' : `${below.replace(/\/+$/, '')}/`;
    return paths()
      .filter((path) => path.startsWith(prefix) && !path.startsWith('_hoody/'))
      .toSorted();
  }

  function resolved(path: string): string {
    return join(store.current()?.directory ?? root, path);
  }

  async function existing(path: string): Promise<{bytes: Uint8Array; modified: Date}> {
    refuseReserved(path.split('/'));
    const script = await store.read(path);
    if (script !== null) return script;
    throw new AppError('SCRIPT_NOT_FOUND', `No script ${path}. GET /api/v1/exec/scripts/list shows all.`);
  }

  async function described(path: string): Promise<ListedScript> {
    return listedScript(path, await existing(path));
  }

  return {
    async source(path) {
      return text((await existing(path)).bytes);
    },
    async write({
      path,
      content: sent,
      validate = true,
      ifNotExists = false,
      createDirs = true,
      typecheck = false,
    }) {
      refuseReserved(path.split('/'));
      const before = await store.read(path);
      const former = before === null ? '' : text(before.bytes);
      const content = isScript(path) ? restoreSecrets(path, sent, former) : sent;
      const checked = validate
        ? await checkScriptContent(path, content, {validation, typecheck})
        : {validated: false, warnings: []};
      const schedule = scheduleChange(path, former, content);
      let existed = false;
      await replaceSet((present) => {
        const others = present?.files.map((file) => file.path) ?? [];
        existed = others.includes(path);
        if (existed && ifNotExists)
          throw new AppError('SCRIPT_EXISTS', `${path} exists. Leave out ifNotExists to replace it.`);
        if (!createDirs) refuseNewDirectory(path, others);
        return withFiles(present, [{path, content: Buffer.from(content)}]);
      });
      const {bytes, modified} = await existing(path);
      return {
        path,
        resolvedPath: resolved(path),
        created: !existed,
        updated: existed,
        size: bytes.byteLength,
        modified: modified.toISOString(),
        ...checked,
        ...(schedule === null ? {} : {schedule}),
      };
    },
    async writeAll(scripts, {remove = []} = {}) {
      await replaceSet((present) =>
        withFiles(
          remove.reduce<Set | null>((rest, path) => without(rest, path), present),
          scripts.map(({path, content}) => ({path, content: Buffer.from(content)})),
        ),
      );
    },
    async read(path) {
      const {bytes, modified} = await existing(path);
      const content = text(bytes);
      const comments = redactMagicComments(readMagicComments(content));
      return {
        path,
        resolvedPath: resolved(path),
        content: isScript(path) ? redactSecrets(content) : content,
        magicComments: Object.keys(comments).length === 0 ? null : comments,
        metadata: {
          size: bytes.byteLength,
          created: modified.toISOString(),
          modified: modified.toISOString(),
          isDirectory: false,
          extension: extname(path),
        },
      };
    },
    async list({directory, recursive, ...filter}) {
      const prefix = directory === '' ? '' : `${directory.replace(/\/+$/, '')}/`;
      const wanted = visible(directory).filter(
        (path) => recursive || !path.slice(prefix.length).includes('/'),
      );
      const listed = await Promise.all(wanted.map(described));
      const scripts = listed
        .filter((script) => matchesFilter(script, filter))
        .map((script) => (filter.metadata === false ? withoutComments(script) : script));
      return {directory, count: scripts.length, recursive, filters: filter, scripts};
    },
    async tree({baseDir, maxDepth, includeMetadata}) {
      const found = visible(baseDir);
      const details = includeMetadata ? await Promise.all(found.map(described)) : [];
      return scriptTree(found, {baseDir, maxDepth, details: new Map(details.map((one) => [one.path, one]))});
    },
    async move({from, to, overwrite}) {
      for (const path of [from, to]) refuseReserved(path.split('/'));
      const {bytes} = await existing(from);
      const resolvedFrom = resolved(from);
      await replaceSet((present) => {
        if (!overwrite && from !== to && present?.files.some(({path}) => path === to))
          throw new AppError('SCRIPT_EXISTS', `${to} exists. Send overwrite: true to replace it.`);
        return withFiles(without(present, from), [{path: to, content: bytes}]);
      });
      return {moved: true, from, to, resolvedFrom, resolvedTo: resolved(to), size: bytes.byteLength};
    },
    async delete(path) {
      const {bytes} = await existing(path);
      const resolvedPath = resolved(path);
      await replaceSet((present) => {
        const {files, mounts} = without(present, path);
        return {digest: deploymentDigest(files, mounts), files: [...files], mounts: [...mounts]};
      });
      return {deleted: true, path, resolvedPath, size: bytes.byteLength};
    },
  };
}

/** What a write does to the schedule that a script has in its comments; null where it neither had nor has one. */
function scheduleChange(path: string, before: string, content: string): WrittenScript['schedule'] | null {
  const [former, now] = [scheduledScript(path, before), scheduledScript(path, content)];
  if (now === null) return former === null ? null : {action: 'removed'};
  if (now.issue !== null) return {action: 'rejected', reason: now.issue};
  if (former === null) return {action: 'registered'};
  return {action: former.text === now.text ? 'kept' : 'updated'};
}

function isScript(path: string): boolean {
  return /\.[jt]sx?$/.test(path);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

type Set = Pick<CurrentDeployment, 'files' | 'mounts'>;

/** What was written over the API belongs to no commit. */
function withFiles(
  present: Set | null,
  written: readonly {path: string; content: Uint8Array}[],
): DeploymentInput {
  const {files: before = [], mounts = []} = present ?? {};
  const hashes = new Map(written.map(({path, content}) => [path, sha256Of(content)]));
  const files = [
    ...before.filter(({path}) => !hashes.has(path)),
    ...[...hashes].map(([path, sha256]) => ({path, sha256})),
  ];
  const contents = Object.fromEntries(
    written.map(({content}) => [sha256Of(content), Buffer.from(content).toString('base64')]),
  );
  return {digest: deploymentDigest(files, mounts), files, mounts: [...mounts], contents};
}

function without(present: Set | null, path: string): Set {
  const {files = [], mounts = []} = present ?? {};
  return {
    files: files.filter((file) => file.path !== path),
    mounts: mounts.filter(({file}) => file !== path),
  };
}

function refuseNewDirectory(path: string, paths: readonly string[]): void {
  const directory = path.slice(0, path.lastIndexOf('/') + 1);
  if (directory === '' || paths.some((present) => present.startsWith(directory))) return;
  throw new AppError(
    'SCRIPT_NOT_FOUND',
    `There is no directory ${directory} yet. Leave out createDirs: false to make it.`,
  );
}

function withoutComments({magicComments: _, ...script}: ListedScript): ListedScript {
  return script;
}

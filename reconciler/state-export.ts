import {createHash} from 'node:crypto';
import {join} from 'node:path';
import * as z from 'zod';
import {listNames, makeDirectory, moveDirectory} from '../runtime/platform/directories.ts';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {rm} from '../runtime/platform/files.ts';
import {parseCrontab, rawText} from '../schemas/crontab.ts';
import {deliverySchema} from '../schemas/delivery.ts';
import {AppError} from '../schemas/errors.ts';
import {journalEventSchema} from '../schemas/journal.ts';
import {runSchema} from '../schemas/run.ts';
import {
  exportEndSchema,
  exportedDocumentSchema,
  exportHeadSchema,
  stateExportFormat,
  stateExportVersion,
} from '../schemas/state-export.ts';
import {branchKey} from './branch-key.ts';
import {branchRecordSchema} from './branch-record.ts';

/** What an import did. */
export interface ImportedState {
  readonly exportedAt: string;
  readonly branches: number;
  readonly documents: number;
}

interface Kind {
  /** Of the path in the state directory. */
  readonly pattern: RegExp;
  /** Of each line. */
  readonly schema: z.ZodType;
}

const identity = {repository: z.string(), path: z.string(), branch: z.string()};
const branchFile = '[a-z0-9-]{1,49}';

/** Only pairs of entries: an import must not bring lines of a crontab of its own. */
const entriesText = z.string().refine((text) => {
  const crontab = parseCrontab(text, {file: 'entries', managedAllowed: true});
  return crontab.issues.length === 0 && rawText(crontab) === '';
});

/** Digests of environments are left out, since secrets are part of what they are made from; so are ids of containers, which open them. */
const exportedRecordSchema = branchRecordSchema
  .refine((record) => record.key === branchKey(record), 'the key is not that of the branch')
  .transform((record) => ({
    ...record,
    container_id: null,
    applied: record.applied === null ? null : {...record.applied, environment: null},
  }));

/** All that is exported. Not tokens and their hashes, addresses, logs, containers, mirrors and backups. */
const kinds: readonly Kind[] = [
  {pattern: new RegExp(`^branches/${branchFile}\\.json$`), schema: exportedRecordSchema},
  {pattern: new RegExp(`^journal/${branchFile}\\.jsonl$`), schema: journalEventSchema},
  {pattern: new RegExp(`^runs/${branchFile}\\.jsonl$`), schema: runSchema},
  {pattern: new RegExp(`^runs/${branchFile}\\.branch\\.json$`), schema: z.object(identity)},
  {pattern: new RegExp(`^entries/${branchFile}\\.json$`), schema: z.record(z.string().max(32), entriesText)},
  {
    pattern: /^repositories\/[0-9a-f]{32}\.json$/,
    schema: z.object({repository: z.string(), met_at: z.string()}),
  },
  {pattern: /^deliveries\.jsonl$/, schema: deliverySchema},
];

/** In this order they come into place: a directory with branches counts as one with a state. */
const directories = ['journal', 'runs', 'entries', 'repositories', 'branches'] as const;
const loose = 'deliveries.jsonl';

/** The lines of an export, each with its end. A document that cannot be read is left out and told of. */
export async function* exportState(
  stateDirectory: string,
  {now, version, onUnreadable}: {now: string; version: string; onUnreadable: (path: string) => void},
): AsyncGenerator<string> {
  const hash = createHash('sha256');
  const line = (value: unknown): string => {
    const text = `${JSON.stringify(value)}\n`;
    hash.update(text);
    return text;
  };
  yield line({
    format: stateExportFormat,
    schema_version: stateExportVersion,
    exported_at: now,
    branchtab_version: version,
  });
  let documents = 0;
  for (const path of await pathsOf(stateDirectory)) {
    const kind = kinds.find(({pattern}) => pattern.test(path));
    const text = kind === undefined ? null : await readTextIfPresent(join(stateDirectory, path));
    if (kind === undefined || text === null) continue;
    const lines = readable(text, kind);
    // Of a journal, lines that a crash tore are passed over; a document without them is none.
    if (lines.length === 0) {
      if (text.trim() !== '') onUnreadable(path);
      continue;
    }
    documents += 1;
    yield line({path, lines});
  }
  yield `${JSON.stringify({documents, sha256: hash.digest('hex')})}\n`;
}

/**
 * Puts an export into a state directory without branches; the caller holds its lock. Nothing is written before all of
 * the text is checked. Throws STATE_UNREADABLE for a text that is torn, foreign or too new, CONFIG_INVALID where the
 * directory has branches.
 */
export async function importState(text: string, stateDirectory: string): Promise<ImportedState> {
  const {head, documents} = checked(text);
  const present = (await listNames(join(stateDirectory, 'branches'))).length;
  if (present > 0)
    throw new AppError(
      'CONFIG_INVALID',
      `${stateDirectory} has a state already, of ${present} branch(es). Import into another one with --state, or remove this one with: branchtab down --purge`,
    );
  const staging = join(stateDirectory, 'import');
  await rm(staging, {recursive: true, force: true});
  for (const name of directories) await makeDirectory(join(staging, name), {mode: 0o700});
  for (const {path, lines} of documents)
    await writeFileDurably(join(staging, path), lines.map((each) => `${JSON.stringify(each)}\n`).join(''), {
      mode: 0o600,
    });
  if (documents.some(({path}) => path === loose))
    await moveDirectory(join(staging, loose), join(stateDirectory, loose));
  for (const name of directories) {
    await rm(join(stateDirectory, name), {recursive: true, force: true});
    await moveDirectory(join(staging, name), join(stateDirectory, name));
  }
  await rm(staging, {recursive: true, force: true});
  return {
    exportedAt: head.exported_at,
    branches: documents.filter(({path}) => path.startsWith('branches/')).length,
    documents: documents.length,
  };
}

async function pathsOf(stateDirectory: string): Promise<string[]> {
  const paths = [loose];
  for (const directory of directories) {
    const names = await listNames(join(stateDirectory, directory));
    paths.push(...names.sort().map((name) => `${directory}/${name}`));
  }
  return paths;
}

function readable(text: string, {schema}: Kind): unknown[] {
  return text.split('\n').flatMap((line) => {
    if (line === '') return [];
    const parsed = schema.safeParse(parsedJson(line));
    return parsed.success ? [parsed.data] : [];
  });
}

type Document = z.infer<typeof exportedDocumentSchema>;

function checked(text: string): {head: z.infer<typeof exportHeadSchema>; documents: Document[]} {
  const refused = (why: string) => new AppError('STATE_UNREADABLE', why);
  const lines = text.split('\n');
  const head = exportHeadSchema.safeParse(parsedJson(lines[0] ?? ''));
  if (!head.success)
    throw refused(
      'This is no export of a Branchtab state: its first line says something else. Use what `branchtab export` wrote.',
    );
  if (head.data.schema_version > stateExportVersion)
    throw refused(
      `The export is of form ${head.data.schema_version}, written by Branchtab ${head.data.branchtab_version}; this one reads forms up to ${stateExportVersion}. Install that version or a newer one.`,
    );
  const torn = 'The export is not whole: it was cut off or changed. Export again, or copy it anew.';
  if (lines.at(-1) !== '' || lines.length < 3) throw refused(torn);
  const end = exportEndSchema.safeParse(parsedJson(lines.at(-2) ?? ''));
  const body = lines.slice(0, -2);
  const sha256 = createHash('sha256')
    .update(body.map((line) => `${line}\n`).join(''))
    .digest('hex');
  if (!end.success || end.data.sha256 !== sha256 || end.data.documents !== body.length - 1)
    throw refused(torn);
  const seen = new Set<string>();
  const documents = body.slice(1).map((line, index): Document => {
    const document = exportedDocumentSchema.safeParse(parsedJson(line));
    const kind = document.success ? kinds.find(({pattern}) => pattern.test(document.data.path)) : undefined;
    const foreign = `Line ${index + 2} of the export holds`;
    if (!document.success || kind === undefined)
      throw refused(`${foreign} something that belongs to no state of Branchtab. Nothing was imported.`);
    const {path} = document.data;
    if (seen.has(path)) throw refused(`${foreign} ${path} a second time. Nothing was imported.`);
    seen.add(path);
    const parsed = z.array(kind.schema).min(1).safeParse(document.data.lines);
    if (!parsed.success)
      throw refused(
        `${foreign} ${path}, which cannot be understood: ${problemOf(parsed.error)}. Nothing was imported.`,
      );
    if (path.endsWith('.json') && !isOneOf(path, parsed.data))
      throw refused(`${foreign} ${path}, which is the name of something else. Nothing was imported.`);
    return {path, lines: parsed.data};
  });
  return {head: head.data, documents};
}

/** A document of one line; that of a branch has its key as its name. */
function isOneOf(path: string, lines: readonly unknown[]): boolean {
  if (lines.length !== 1) return false;
  if (!path.startsWith('branches/')) return true;
  const [record] = lines;
  return (
    typeof record === 'object' &&
    record !== null &&
    'key' in record &&
    path === `branches/${String(record.key)}.json`
  );
}

function problemOf({issues: [issue]}: z.ZodError): string {
  return issue === undefined ? 'it is not valid' : `${issue.path.join('.')} ${issue.message}`;
}

/** Undefined where it is no JSON: no schema takes that. */
function parsedJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // See above.
    return undefined;
  }
}

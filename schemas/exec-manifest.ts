import * as z from 'zod';
import {durationSchema} from './duration.ts';
import {scriptPathSchema} from './exec-api.ts';
import type {Issue} from './issue.ts';
import {scriptMethods} from './script-settings.ts';
import {type ParsedYaml, parseYaml} from './yaml-file.ts';

const routePath = scriptPathSchema
  .refine((path) => !/\.[jt]sx?$/.test(path), 'Write the path as it is called, without .ts or .js.')
  .refine(
    (path) => !path.split('/').some((segment) => reserved.has(segment)),
    'node_modules, .git, .hoody-cache, _sdk and _hoody may not stand in a path.',
  );
const reserved: ReadonlySet<string> = new Set(['node_modules', '.git', '.hoody-cache', '_sdk', '_hoody']);

const variableValue = z
  .union([z.string(), z.number(), z.boolean()])
  .transform(String)
  .pipe(
    z
      .string()
      .max(32_768)
      .refine(
        (value) => quoted(value) !== null,
        'A value may not hold NUL, nor all of the quotes \', " and `, nor end with a backslash where it has blanks, quotes or "#".',
      ),
  );

/** As it stands in a `.env` file, whose readers take a backslash before the last quote for a part of the value. */
function quoted(value: string): string | null {
  if (value.includes('\0')) return null;
  const quote = ["'", '`'].find((each) => !value.includes(each) && !value.endsWith('\\'));
  if (quote !== undefined) return `${quote}${value}${quote}`;
  // Between these `\n` would be a line end.
  if (!/["\\]/.test(value)) return `"${value}"`;
  return /^[^\s'"`#]+$/.test(value) ? value : null;
}

const scriptEntrySchema = z
  .strictObject({
    path: routePath.meta({
      description: 'Where the script answers, without extension; may hold [name] segments.',
      examples: ['rollup', 'reports/[day]'],
    }),
    file: scriptPathSchema
      .regex(/\.[jt]s$/, 'Name a .ts or .js file.')
      .optional()
      .meta({
        description:
          "The script's file from the root of the repository; without it, the script of that path in .hoody/exec.",
        examples: ['src/jobs/rollup.ts'],
      }),
    timeout: durationSchema.optional().meta({description: 'Longest time until it answers; 0: no limit.'}),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,254}$/), variableValue)
      .optional()
      .meta({description: 'Variables of this script alone. Not for secrets: they stand in the repository.'}),
    description: z.string().max(1000).optional(),
    methods: z
      .array(z.enum(scriptMethods))
      .min(1)
      .optional()
      .meta({description: 'Others get 405.', examples: [['GET', 'POST']]}),
    warm: z.boolean().optional().meta({description: 'Keep the script host running.'}),
    concurrency: z.int().min(1).max(1000).optional().meta({description: 'Calls at the same time.'}),
  })
  .meta({id: 'ScriptEntry'});

/** `.hoody/exec/*.yaml`: scripts that are elsewhere in the repository, and what holds for scripts. */
export const manifestSchema = z
  .strictObject({
    version: z.literal(1),
    packages: z
      .union([z.literal('.'), scriptPathSchema])
      .optional()
      .meta({
        description:
          'Directory of the repository, "." for its root, whose package.json and lock file say which packages scripts find.',
      }),
    scripts: z.array(scriptEntrySchema).max(1000).default([]),
  })
  .meta({id: 'ExecManifest', title: '.hoody/exec/*.yaml'});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestScript = Manifest['scripts'][number];

/** A manifest's text, parsed; issues carry line and column, unknown keys are issues. */
export function parseManifest(text: string, file: string): ParsedYaml<Manifest> & {issues: Issue[]} {
  return parseYaml(text, file, manifestSchema);
}

/** The variables as a `.env` file that gives them back exactly. */
export function environmentFileText(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join('');
}

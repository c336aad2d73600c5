import {AppError} from '../schemas/errors.ts';
import {type ScriptFilter, scriptFilterSchema} from '../schemas/exec-scripts.ts';

type Query = Readonly<Record<string, string>>;

/** The query of `scripts/list`. Throws AppError INVALID_QUERY. */
export function readListQuery(query: Query): {directory: string; recursive: boolean} & ScriptFilter {
  const {filter, label, tags, mode} = query;
  const parsed = scriptFilterSchema.safeParse({
    ...withoutAbsent({filter, label, tags, mode}),
    ...withoutAbsent({
      metadata: readOptionalFlag(query, 'metadata') ?? readOptionalFlag(query, 'include_comments'),
      enabled: readOptionalFlag(query, 'enabled'),
      websocket: readOptionalFlag(query, 'websocket'),
    }),
  });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new AppError(
      'INVALID_QUERY',
      `The query parameter \`${issue?.path.join('.')}\`: ${issue?.message}.`,
    );
  }
  return {
    directory: query.dir ?? '',
    recursive: readOptionalFlag(query, 'recursive') ?? true,
    ...parsed.data,
  };
}

/** `true` or `1`, `false` or `0`; undefined where it is absent. Throws AppError INVALID_QUERY. */
export function readOptionalFlag(query: Query, name: string): boolean | undefined {
  const value = query[name];
  if (value === undefined) return undefined;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new AppError('INVALID_QUERY', `The query parameter \`${name}\` is true or false.`);
}

function withoutAbsent<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** How the value of a magic comment is written. */
export type MagicCommentKind = 'flag' | 'boolean' | 'milliseconds' | 'count' | 'choice' | 'schedule' | 'text';

export interface MagicComment {
  readonly name: string;
  readonly kind: MagicCommentKind;
  /** Of a `choice`. */
  readonly values?: readonly string[];
  /** What counts without the comment; null: nothing. */
  readonly default: string | null;
  readonly description: string;
  /** The comment may stand more than once. */
  readonly repeatable?: true;
}

/** Every `// @name value` that means something above a script's first code. */
export const magicCommentCatalogue: readonly MagicComment[] = [
  {
    name: 'mode',
    kind: 'choice',
    values: ['serverless', 'worker'],
    default: 'serverless',
    description: 'worker: globalThis is kept between calls.',
  },
  {name: 'enabled', kind: 'boolean', default: 'true', description: 'false: 404, the script is not run.'},
  {
    name: 'token',
    kind: 'text',
    default: null,
    repeatable: true,
    description: 'Callers must present it; never shown.',
  },
  {
    name: 'timeout',
    kind: 'milliseconds',
    default: '1800000',
    description: 'A call that has not answered by then gets 504; 0 or unlimited: none.',
  },
  {
    name: 'await-promises',
    kind: 'boolean',
    default: 'true',
    description: 'Returned promises are awaited.',
  },
  {
    name: 'concurrent',
    kind: 'count',
    default: 'true',
    description: 'true: no limit, false: one call at a time, a number: so many.',
  },
  {
    name: 'isolate',
    kind: 'choice',
    values: ['process'],
    default: null,
    description: 'process: a process of its own for each call.',
  },
  {name: 'rawBody', kind: 'flag', default: null, description: 'The body is not parsed.'},
  {name: 'cors', kind: 'text', default: 'reflective', description: 'reflective, *, none, or an origin.'},
  {name: 'cors-credentials', kind: 'boolean', default: 'true', description: 'Cookies may be sent along.'},
  {name: 'cors-methods', kind: 'text', default: null, description: 'Methods other sites may use.'},
  {name: 'cors-headers', kind: 'text', default: null, description: 'Headers other sites may send.'},
  {name: 'cors-max-age', kind: 'count', default: null, description: 'Seconds a browser may remember.'},
  {
    name: 'log-level',
    kind: 'choice',
    values: ['none', 'minimal', 'standard', 'full', 'debug'],
    default: 'standard',
    description: 'How much of a call is kept.',
  },
  {name: 'debug', kind: 'flag', default: null, description: 'Short for log-level debug.'},
  {
    name: 'log-request-body',
    kind: 'choice',
    values: ['full', 'redacted', 'off'],
    default: 'off',
    description: 'Whether request bodies are kept.',
  },
  {
    name: 'log-response-body',
    kind: 'choice',
    values: ['full', 'redacted', 'off'],
    default: 'off',
    description: 'Whether answers are kept.',
  },
  {name: 'log-max-body-size', kind: 'count', default: null, description: 'Bytes of a body that are kept.'},
  {name: 'log-exclude-headers', kind: 'text', default: null, description: 'Headers that are not kept.'},
  {name: 'log-retention-days', kind: 'count', default: null, description: 'Days for which calls are kept.'},
  {name: 'debug-instrument', kind: 'flag', default: null, description: 'More detail in the debug level.'},
  {
    name: 'schedule',
    kind: 'schedule',
    default: null,
    description: 'Runs the script at these times, in UTC. In a branch .hoody/crontab says when.',
  },
  {
    name: 'schedule-timeout',
    kind: 'milliseconds',
    default: null,
    description: 'Longest time of a scheduled call.',
  },
  {name: 'websocket', kind: 'flag', default: null, description: 'A websocket script; needs mode worker.'},
  {
    name: 'websocket-pre',
    kind: 'flag',
    default: null,
    description: 'The pre script is asked before a websocket is opened.',
  },
  {name: 'description', kind: 'text', default: null, description: 'One line for lists.'},
  {name: 'tags', kind: 'text', default: null, description: 'Comma-separated words for lists.'},
  {name: 'label', kind: 'text', default: null, description: 'One word for lists.'},
];

/** What is wrong with a comment's value, in a sentence; null where it is understood. Unknown names are ignored by scripts. */
export function magicCommentProblem(name: string, value: string): string | null {
  const comment = magicCommentCatalogue.find((known) => known.name === name);
  if (comment === undefined) return `@${name} is not known and has no effect.`;
  if (isUnderstood(comment, value.trim())) return null;
  return `@${name} ${JSON.stringify(value)} is not understood; write ${wanted(comment)}. It counts as ${comment.default ?? 'absent'}.`;
}

function isUnderstood({kind, values = []}: MagicComment, value: string): boolean {
  switch (kind) {
    case 'flag':
      return value === '' || value === 'true' || value === 'false';
    case 'boolean':
      return value === 'true' || value === 'false';
    case 'milliseconds':
      return value === 'unlimited' || /^\d{1,12}$/.test(value);
    case 'count':
      return value === 'true' || value === 'false' || /^\d{1,12}$/.test(value);
    case 'choice':
      return values.includes(value);
    case 'schedule':
      return value.startsWith('@') || value.split(/\s+/).length === 5;
    case 'text':
      return value !== '';
    default:
      return kind satisfies never;
  }
}

function wanted({kind, values = []}: MagicComment): string {
  const words: Record<MagicCommentKind, string> = {
    flag: 'it without a value',
    boolean: 'true or false',
    milliseconds: 'milliseconds, 0 or unlimited',
    count: 'true, false or a whole number',
    choice: values.join(' or '),
    schedule: 'five fields or a word such as @daily',
    text: 'some text',
  };
  return words[kind];
}

import type {Node} from 'oxc-parser';
import type {TextIssue} from '../../schemas/issue.ts';
import {positionOf} from './script-check.ts';
import type {ParsedScript} from './script-parser.ts';

interface Trap {
  readonly pattern: RegExp;
  readonly code: string;
  readonly message: string;
}

/** SQL that PostgreSQL understands and SQLite takes for something else, mostly without an error. */
const traps: readonly Trap[] = [
  {
    pattern: /'(?:today|now|yesterday|tomorrow|epoch)'(?!\s*(?:,|\)))/i,
    code: 'postgres_date_literal',
    message:
      "SQLite compares this date word as plain text and finds no rows. Write date('now') for today, datetime('now') for now, date('now', '-1 day') for yesterday.",
  },
  {
    pattern: /\bnow\s*\(\s*\)/i,
    code: 'postgres_now',
    message: "SQLite has no now(). Write datetime('now').",
  },
  {
    pattern: /\binterval\s+'/i,
    code: 'postgres_interval',
    message: "SQLite has no interval. Write a modifier, for example datetime('now', '-7 days').",
  },
  {
    pattern: /[\w)'"]::(?:date|timestamp(?:tz)?|text|int(?:eger)?|bigint|numeric|jsonb?)\b/i,
    code: 'postgres_cast',
    message: 'SQLite has no `::` cast. Write CAST(value AS type), or date(value) for a day.',
  },
];

const sqlWords = /\b(?:select|insert|update|delete|where|from|values)\b/i;

/**
 * PostgreSQL's idioms in the SQL of a script that uses SQLite, with their positions. Only string and template
 * texts that look like SQL are read.
 */
export function scriptWarnings(text: string, {program}: Pick<ParsedScript, 'program'>): TextIssue[] {
  if (!/\bDatabase\b|sqlite/.test(text)) return [];
  const warnings: TextIssue[] = [];
  // Parents come before children and the stack is ours: nesting is the author's choice.
  const waiting: unknown[] = [program];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (!isNode(node)) continue;
    const start = sqlStart(node);
    if (start !== null) warnings.push(...trapsIn(text, start, node.end));
    for (const [name, value] of Object.entries(node)) {
      if (name === 'parent' || typeof value !== 'object' || value === null) continue;
      if (Array.isArray(value)) waiting.push(...value);
      else waiting.push(value);
    }
  }
  return warnings.sort((a, b) => a.line - b.line || a.column - b.column);
}

/** Where the text of a string or template begins; null for other nodes. */
function sqlStart(node: Node): number | null {
  if (node.type === 'Literal' && typeof node.value === 'string') return node.start;
  return node.type === 'TemplateLiteral' ? node.start : null;
}

function trapsIn(text: string, start: number, end: number): TextIssue[] {
  const sql = text.slice(start, end);
  if (!sqlWords.test(sql)) return [];
  return traps.flatMap(({pattern, code, message}) => {
    const at = pattern.exec(sql)?.index;
    return at === undefined ? [] : [{...positionOf(text, start + at), code, message}];
  });
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

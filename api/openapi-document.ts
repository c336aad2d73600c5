import {stringify} from 'yaml';
import * as z from 'zod';
import {type ErrorCode, errorCatalogue} from '../schemas/errors.ts';

/** One method of one path, as a table of a kit's routes describes it. */
export interface Route {
  readonly method: 'get' | 'put' | 'post' | 'patch' | 'delete';
  /** As OpenAPI writes it; names in braces are parameters. */
  readonly path: string;
  readonly summary: string;
  readonly query?: Readonly<Record<string, Parameter>>;
  readonly headers?: Readonly<Record<string, Parameter>>;
  readonly body?: {readonly schema: z.ZodType; readonly text?: boolean; readonly optional?: boolean};
  readonly answer: {
    readonly status?: number;
    readonly schema?: z.ZodType;
    readonly types?: readonly string[];
  };
  readonly errors: readonly ErrorCode[];
}

export interface Parameter {
  readonly schema: z.ZodType;
  readonly description: string;
  readonly required?: true;
}

export interface KitDescription {
  readonly title: string;
  readonly description: string;
  /** Where the paths answer besides the kit's own host. */
  readonly prefix: string;
  readonly routes: readonly Route[];
  /** Shapes that only other shapes or events name. */
  readonly furtherSchemas: readonly z.ZodType[];
}

export type Json = Record<string, unknown>;

const errorSchema = z
  .object({code: z.string(), message: z.string(), details: z.unknown()})
  .meta({id: 'Error', description: 'Texts may change, codes may not.'});

/** The answer to `GET /health`, whose last field each public API spells in its own way. */
export function healthOf<Agent extends string>(kit: {id: string; service: z.ZodType<string>; agent: Agent}) {
  return z
    .object({
      status: z.literal('ok'),
      service: kit.service,
      started: z.string(),
      pid: z.int(),
      ip: z.string(),
      fds: z.int().nullable(),
      built: z.string().nullable(),
      [kit.agent]: z.string().nullable(),
      memory: z.object({rss: z.int(), heap: z.int().nullable()}).nullable(),
    })
    .meta({id: kit.id});
}

/** What every kit answers about itself. */
export function ownRoutes(health: z.ZodType): Route[] {
  const about = {method: 'get', errors: []} as const;
  return [
    {...about, path: '/health', summary: 'Whether the kit answers', answer: {schema: health}},
    {...about, path: '/openapi.json', summary: 'This document', answer: {types: ['application/json']}},
    {...about, path: '/openapi.yaml', summary: 'This document', answer: {types: ['application/yaml']}},
  ];
}

/** An OpenAPI 3.1 document. Shapes come from the schemas that the routes read and answer with. */
export function openApiDocument({title, description, prefix, routes, furtherSchemas}: KitDescription): Json {
  const named = [...new Set([errorSchema, ...furtherSchemas, ...routes.flatMap(namedSchemas)])];
  const registry = z.registry<{id: string}>();
  for (const schema of named) registry.add(schema, {id: idOf(schema) ?? ''});
  const {schemas} = z.toJSONSchema(registry, {
    io: 'input',
    unrepresentable: 'any',
    uri: (id) => `#/components/schemas/${id}`,
    override({jsonSchema}) {
      delete jsonSchema.id;
      // What a double can hold exactly is no rule of ours.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  for (const schema of Object.values(schemas)) {
    delete schema.$schema;
    delete schema.$id;
  }
  const paths: Record<string, Json> = {};
  for (const route of routes) paths[route.path] = {...paths[route.path], [route.method]: operation(route)};
  return {
    openapi: '3.1.0',
    info: {title, version: '1', description},
    servers: [{url: '/'}, {url: prefix}],
    paths,
    components: {schemas},
  };
}

/** A document as YAML. */
export function printOpenApi(document: Json): string {
  return stringify(document, {aliasDuplicateObjects: false});
}

function operation({method, path, summary, query = {}, headers = {}, body, answer, errors}: Route): Json {
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: {type: 'string'},
    })),
    ...Object.entries(query).map(([name, parameter]) => ({
      name,
      in: 'query',
      required: parameter.required ?? false,
      ...printed(parameter),
    })),
    ...Object.entries(headers).map(([name, parameter]) => ({
      name,
      in: 'header',
      required: false,
      ...printed(parameter),
    })),
  ];
  return {
    operationId: [method, ...path.split(/[/{}.]+/).filter((word) => word !== '')].join('_'),
    summary,
    ...(parameters.length === 0 ? {} : {parameters}),
    ...(body === undefined
      ? {}
      : {requestBody: {required: body.optional !== true, content: requestContent(body)}}),
    responses: {[String(answer.status ?? 200)]: success(answer), ...failures(errors)},
  };
}

function printed({schema, description}: Parameter): Json {
  const {$schema: _dialect, maximum, ...rest} = z.toJSONSchema(schema, {io: 'input'});
  const bounded = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? rest : {...rest, maximum};
  return {schema: bounded, description};
}

function requestContent({schema, text = false}: NonNullable<Route['body']>): Json {
  return {
    'application/json': {schema: reference(schema)},
    ...(text ? {'text/plain': {schema: {type: 'string'}}} : {}),
  };
}

function success({schema, types = ['application/json']}: Route['answer']): Json {
  const content = types.map((type) => {
    const isJson = type === 'application/json';
    return [
      type,
      {schema: isJson && schema !== undefined ? reference(schema) : {type: isJson ? 'object' : 'string'}},
    ];
  });
  return {description: 'Done.', content: Object.fromEntries(content)};
}

/** One response per status, with its codes and their meanings. */
function failures(errors: readonly ErrorCode[]): Json {
  const byStatus = Map.groupBy(errors, (code) => String(errorCatalogue[code].status));
  return Object.fromEntries(
    [...byStatus].sort().map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => `\`${code}\`: ${errorCatalogue[code].meaning}`).join(' '),
        content: {'application/json': {schema: reference(errorSchema)}},
      },
    ]),
  );
}

function namedSchemas({body, answer}: Route): z.ZodType[] {
  return [body?.schema, answer.schema].flatMap((schema) => {
    if (schema === undefined) return [];
    return schema instanceof z.ZodUnion ? schema.options.filter(isSchema) : [schema];
  });
}

function isSchema(value: unknown): value is z.ZodType {
  return value instanceof z.ZodType;
}

function reference(schema: z.ZodType): Json {
  if (idOf(schema) === undefined && schema instanceof z.ZodUnion)
    return {anyOf: schema.options.filter(isSchema).map(reference)};
  return {$ref: `#/components/schemas/${idOf(schema)}`};
}

function idOf(schema: z.ZodType): string | undefined {
  return schema.meta()?.id;
}

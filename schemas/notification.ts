import * as z from 'zod';

/** What a notification and a list of them may hold. */
export const notificationLimits = {
  summaryLength: 200,
  bodyLength: 1000,
  iconLength: 200,
  categoryLength: 50,
  expireTimeMs: 300_000,
} as const;

const {summaryLength, bodyLength, iconLength, categoryLength, expireTimeMs} = notificationLimits;

/** A person or a screen; `all` stands for every one of them, `.` and `..` mean other things in a path. */
export const displaySchema = z
  .string()
  .regex(
    /^(?!(?:\.{1,2}|all)$)[A-Za-z0-9._-]{1,64}$/,
    'write 1 to 64 letters, digits, dots, underscores or hyphens, and not `all`',
  )
  .meta({example: 'm.dossantos'});

export const urgencySchema = z.enum(['low', 'normal', 'critical']);
export type Urgency = z.infer<typeof urgencySchema>;

/** Half of a character pair cannot be written as UTF-8; it becomes U+FFFD before anything is stored. */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .transform((value) => value.toWellFormed());

const optionalFields = {
  urgency: urgencySchema.default('normal'),
  icon: text(iconLength).nullable().default(null).meta({description: 'Name or address; kept as it is.'}),
  category: text(categoryLength).nullable().default(null),
  expire_time: z.int().min(0).max(expireTimeMs).nullable().default(null).meta({
    description: 'How long a screen should show it, in milliseconds; 0 for until it is dismissed.',
  }),
};

/** Body of `POST /notify`. */
export const notifyRequestSchema = z
  .object({
    display: z.union([displaySchema, z.int().min(0).transform(String)]),
    summary: text(summaryLength).refine((value) => value.trim() !== '', 'it is empty'),
    body: text(bodyLength).default(''),
    ...optionalFields,
  })
  .meta({id: 'NotifyRequest'});
export type NotifyRequest = z.infer<typeof notifyRequestSchema>;

/** JSON body of `POST /push/{name}`. */
export const pushBodySchema = z
  .object({summary: text(summaryLength).optional(), body: text(bodyLength).optional(), ...optionalFields})
  .meta({id: 'PushRequest'});

export const notificationSchema = z
  .object({
    id: z.int().meta({description: 'Grows with every notification of the container; never used twice.'}),
    display_id: z.string().meta({description: 'The person or screen it is for.'}),
    summary: z.string(),
    body: z.string(),
    urgency: urgencySchema,
    icon: z.string().nullable(),
    category: z.string().nullable(),
    expire_time: z.int().nullable(),
    created_at: z.string().meta({description: 'RFC 3339 UTC.'}),
  })
  .meta({id: 'Notification'});
export type Notification = z.infer<typeof notificationSchema>;

/** Body of `POST /dismiss`. Without `displayId` the ids alone decide. */
export const dismissRequestSchema = z
  .object({
    notificationIds: z.array(z.int().min(0)).min(1).max(1000),
    displayId: z.union([displaySchema, z.int().min(0).transform(String)]).optional(),
  })
  .meta({id: 'DismissRequest'});

export const notifiedSchema = z
  .object({success: z.literal(true), message: z.string()})
  .meta({id: 'Notified'});
export type Notified = z.infer<typeof notifiedSchema>;

export const dismissedSchema = z
  .object({success: z.literal(true), message: z.string(), data: z.object({dismissed: z.int()})})
  .meta({id: 'Dismissed'});
export type Dismissed = z.infer<typeof dismissedSchema>;

export const inboxSchema = z
  .object({inbox: z.string(), count: z.int(), notifications: z.array(notificationSchema)})
  .meta({id: 'Inbox', description: 'Oldest first.'});
export type Inbox = z.infer<typeof inboxSchema>;

export const notificationListSchema = z
  .object({
    success: z.literal(true),
    data: z.object({
      count: z.int(),
      displays: z.array(z.string()),
      notifications: z.array(notificationSchema),
    }),
  })
  .meta({id: 'NotificationList', description: 'Oldest first.'});
export type NotificationList = z.infer<typeof notificationListSchema>;

/** Data of the two events of a stream that are no notification. */
export const connectedSchema = z
  .object({
    displays: z.array(z.string()),
    last_id: z.int().meta({description: 'What comes is newer; also the id of the event.'}),
  })
  .meta({id: 'Connected'});
export type Connected = z.infer<typeof connectedSchema>;
export const heartbeatSchema = z
  .object({at: z.string().meta({description: 'RFC 3339 UTC.'})})
  .meta({id: 'Heartbeat'});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

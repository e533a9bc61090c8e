-- The tables of a node, central or local. Rows have UUIDv7 keys set before insert (16 bytes); columns named body,
-- payload, secret, value or key that hold personal or secret bytes are sealed (vault::columns); *_index columns are blind
-- indexes. Times are milliseconds since 1970, UTC. Digests are 32 bytes. WITHOUT ROWID is for narrow rows only: rows over a
-- quarter of a page would each take an overflow page of their own there.

CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- central: what is true

-- Every URI that was ever named. types is a bit set (1 << type code); 0 = only mentioned by something else.
-- digest is of the whole body; shown of what travels under the field choice of the entity's first type. tao_md5 is TAO's
-- checksum of that, with all links; links is their number.
CREATE TABLE entity (
    id          BLOB    NOT NULL PRIMARY KEY,
    uri         TEXT    NOT NULL UNIQUE,
    types       INTEGER NOT NULL,
    class       BLOB,
    digest      BLOB,
    shown       BLOB,
    body        BLOB,
    login_index BLOB,
    label_index BLOB,
    tao_md5     BLOB,
    links       INTEGER NOT NULL DEFAULT 0,
    changed_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX entity_login ON entity (login_index) WHERE login_index IS NOT NULL;
CREATE INDEX entity_label ON entity (label_index) WHERE label_index IS NOT NULL;
CREATE INDEX entity_class ON entity (class) WHERE class IS NOT NULL;

-- Numbers for predicates. 1 to 11 are vocabulary::RELATIONS in that order, 12 is rdfs:subClassOf; further ones come as
-- they are needed.
CREATE TABLE predicate (
    code INTEGER NOT NULL PRIMARY KEY,
    uri  TEXT    NOT NULL UNIQUE
) STRICT;

INSERT INTO predicate (code, uri) VALUES
    (1, 'http://www.tao.lu/Ontologies/TAOTestCenter.rdf#administrator'),
    (2, 'http://www.tao.lu/Ontologies/TAOTestCenter.rdf#assignedProctor'),
    (3, 'http://www.tao.lu/Ontologies/TAOTestCenter.rdf#authorizedProctor'),
    (4, 'http://www.taotesting.com/Ontologies/TAOTestCenter.rdf#assignedSyncUser'),
    (5, 'http://www.tao.lu/Ontologies/TAOTestCenter.rdf#children'),
    (6, 'http://www.w3.org/2000/01/rdf-schema#member'),
    (7, 'http://www.tao.lu/Ontologies/TAOTestCenter#UserAssignment'),
    (8, 'http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestCenter'),
    (9, 'http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileDelivery'),
    (10, 'http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestTaker'),
    (11, 'http://www.tao.lu/Ontologies/TAODelivery.rdf#ExcludedSubjects'),
    (12, 'http://www.w3.org/2000/01/rdf-schema#subClassOf');

-- Values of relation predicates; linked = 1 when they travel as link rows and are not in the owner's body.
CREATE TABLE relation (
    owner     BLOB    NOT NULL,
    predicate INTEGER NOT NULL,
    target    BLOB    NOT NULL,
    linked    INTEGER NOT NULL,
    PRIMARY KEY (owner, predicate, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX relation_target ON relation (target, predicate, owner);

-- Long lists of other values: value_id is a blind index of value and language. A row that is gone stays while local
-- servers may still have to be told.
CREATE TABLE literal_link (
    owner     BLOB    NOT NULL,
    predicate INTEGER NOT NULL,
    value_id  BLOB    NOT NULL,
    value     BLOB    NOT NULL,
    gone      INTEGER NOT NULL,
    PRIMARY KEY (owner, predicate, value_id)
) STRICT;

-- Organisation ids of test centers (a center may have several).
CREATE TABLE center_org (
    center BLOB NOT NULL,
    org    TEXT NOT NULL,
    PRIMARY KEY (center, org)
) STRICT, WITHOUT ROWID;
CREATE INDEX center_org_org ON center_org (org);

-- ---------------------------------------------------------------- central: the feed, per org

CREATE TABLE scope (
    id            INTEGER NOT NULL PRIMARY KEY,
    org           TEXT    NOT NULL UNIQUE,
    epoch         BLOB    NOT NULL,
    registered_at INTEGER NOT NULL
) STRICT;

CREATE TABLE scope_type (
    scope                     INTEGER NOT NULL,
    type                      INTEGER NOT NULL,
    last_seq                  INTEGER NOT NULL,
    floor                     INTEGER NOT NULL,
    set_digest                BLOB    NOT NULL,
    count                     INTEGER NOT NULL,
    links                     INTEGER NOT NULL,
    removals_approved_through INTEGER NOT NULL,
    PRIMARY KEY (scope, type)
) STRICT, WITHOUT ROWID;

-- The latest word about an entity in an org. filtered = 1 when the org's view is not simply the stored body. gone_at: since
-- when it is not present; such a row is forgotten after a while, and scope_type.floor rises to its number.
CREATE TABLE scope_entry (
    scope    INTEGER NOT NULL,
    type     INTEGER NOT NULL,
    entity   BLOB    NOT NULL,
    seq      INTEGER NOT NULL,
    present  INTEGER NOT NULL,
    filtered INTEGER NOT NULL,
    digest   BLOB    NOT NULL,
    tao_md5  BLOB,
    gone_at  INTEGER,
    PRIMARY KEY (scope, type, entity)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX scope_entry_seq ON scope_entry (scope, type, seq);
CREATE INDEX scope_entry_entity ON scope_entry (entity);
CREATE INDEX scope_entry_gone ON scope_entry (gone_at) WHERE gone_at IS NOT NULL;

-- How many present entities of a scope are direct instances of a class.
CREATE TABLE class_use (
    scope INTEGER NOT NULL,
    class BLOB    NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (scope, class)
) STRICT, WITHOUT ROWID;

CREATE TABLE scope_link (
    scope     INTEGER NOT NULL,
    type      INTEGER NOT NULL,
    owner     BLOB    NOT NULL,
    predicate INTEGER NOT NULL,
    value_id  BLOB    NOT NULL,
    seq       INTEGER NOT NULL,
    present   INTEGER NOT NULL,
    gone_at   INTEGER,
    PRIMARY KEY (scope, owner, predicate, value_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX scope_link_seq ON scope_link (scope, type, seq);
CREATE INDEX scope_link_gone ON scope_link (gone_at) WHERE gone_at IS NOT NULL;

-- ---------------------------------------------------------------- TAO's own database, both roles

-- The one installation this node is connected with. adopted_at: since when this node does the syncing. seen: what the last
-- pull that brought everything in had seen of TAO's statements.
CREATE TABLE tao_installation (
    id           BLOB    NOT NULL PRIMARY KEY,
    address      BLOB    NOT NULL,
    files        TEXT,
    command      TEXT,
    connected_at INTEGER NOT NULL,
    adopted_at   INTEGER,
    seen         TEXT
) STRICT;

-- Central: entities that came from TAO, with the types they had there (1 << type code): only these go when TAO has them no
-- more.
CREATE TABLE tao_origin (
    uri   TEXT    NOT NULL PRIMARY KEY,
    types INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Central: which file was looked at as the package of a delivery, and what is wrong with it.
CREATE TABLE tao_package (
    delivery TEXT NOT NULL PRIMARY KEY,
    stamp    TEXT NOT NULL,
    problem  TEXT
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- local: the replica, per remote and org

-- tao_version: none at a taosync central; at a TAO central the version of TAO this server says it is. results_recipients:
-- for whom central wants results sealed, a list; none until it said so. announced: further authorities that may have signed
-- central's certificate, a list of fingerprints, while it changes its own.
CREATE TABLE remote (
    id             BLOB    NOT NULL PRIMARY KEY,
    root_url       TEXT    NOT NULL,
    token_url      TEXT    NOT NULL,
    client_key     TEXT    NOT NULL UNIQUE,
    secret         BLOB    NOT NULL,
    ca_fingerprint TEXT,
    announced      TEXT,
    central        BLOB,
    central_key    BLOB,
    tao_version    TEXT,
    results_recipients TEXT,
    added_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- steps, continuation, next_continuation, claim: what is shown to central (model::continuation); the next word is there
-- only while a sync that shows it is not finished. compare_due = 1: positions are not to be trusted.
CREATE TABLE replica_scope (
    id                INTEGER NOT NULL PRIMARY KEY,
    remote            BLOB    NOT NULL,
    org               TEXT    NOT NULL,
    epoch             BLOB,
    steps             INTEGER NOT NULL DEFAULT 0,
    continuation      TEXT,
    next_continuation TEXT,
    claim             TEXT    NOT NULL DEFAULT '',
    compare_due       INTEGER NOT NULL DEFAULT 0,
    verified_at       INTEGER,
    synced_at         INTEGER,
    safe_receipt_no   INTEGER NOT NULL,
    top_receipt_no    INTEGER NOT NULL,
    UNIQUE (remote, org)
) STRICT;

-- The token of the last sync and what came with it.
CREATE TABLE replica_access (
    scope INTEGER NOT NULL PRIMARY KEY,
    value BLOB    NOT NULL
) STRICT;

CREATE TABLE replica_type (
    scope      INTEGER NOT NULL,
    type       INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    set_digest BLOB    NOT NULL,
    count      INTEGER NOT NULL,
    links      INTEGER NOT NULL,
    PRIMARY KEY (scope, type)
) STRICT, WITHOUT ROWID;

-- tao_md5: the checksum a TAO central gave with the entity; none elsewhere, or when it is to be asked for again.
CREATE TABLE replica_entry (
    id          BLOB    NOT NULL PRIMARY KEY,
    scope       INTEGER NOT NULL,
    type        INTEGER NOT NULL,
    uri         TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    digest      BLOB    NOT NULL,
    body        BLOB    NOT NULL,
    login_index BLOB,
    tao_md5     BLOB,
    UNIQUE (uri, scope, type)
) STRICT;
CREATE INDEX replica_entry_type ON replica_entry (type, id, scope);
CREATE INDEX replica_entry_login ON replica_entry (login_index) WHERE login_index IS NOT NULL;

-- What came from a TAO central and waits for the switch, with the checksum it proved to have: a sync that is cut goes on
-- from here.
CREATE TABLE tao_arrival (
    scope   INTEGER NOT NULL,
    type    INTEGER NOT NULL,
    uri     TEXT    NOT NULL,
    tao_md5 BLOB    NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (scope, type, uri)
) STRICT, WITHOUT ROWID;

-- What entities said of others before central's last word about them, while removals may be held: it counts as long as
-- the other is held, so that an exam whose delivery is held can still be begun.
CREATE TABLE held_value (
    scope     INTEGER NOT NULL,
    owner     TEXT    NOT NULL,
    predicate TEXT    NOT NULL,
    value     TEXT    NOT NULL,
    PRIMARY KEY (scope, owner, predicate, value)
) STRICT, WITHOUT ROWID;

-- Test takers and deliveries that central has removed while an attempt of theirs can go on or is not handed in: to sign
-- in again and to go on, for nothing else. Rows of replica_entry as they were.
CREATE TABLE parted_entry (
    id          BLOB    NOT NULL PRIMARY KEY,
    scope       INTEGER NOT NULL,
    type        INTEGER NOT NULL,
    uri         TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    login_index BLOB
) STRICT;
CREATE INDEX parted_entry_login ON parted_entry (login_index) WHERE login_index IS NOT NULL;
CREATE INDEX parted_entry_uri ON parted_entry (uri);

-- owner_key and value_key: the first 16 bytes of BLAKE3 of owner URI, and of value and language.
CREATE TABLE replica_link (
    scope     INTEGER NOT NULL,
    type      INTEGER NOT NULL,
    owner_key BLOB    NOT NULL,
    predicate INTEGER NOT NULL,
    value_key BLOB    NOT NULL,
    owner     TEXT    NOT NULL,
    value     BLOB    NOT NULL,
    PRIMARY KEY (scope, owner_key, predicate, value_key)
) STRICT, WITHOUT ROWID;

-- Removals beyond the guard's threshold, held until a person or central approves. before: entities of the type when the
-- first of them came.
CREATE TABLE held_removal (
    scope  INTEGER NOT NULL,
    type   INTEGER NOT NULL,
    uri    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    before INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (scope, type, uri)
) STRICT, WITHOUT ROWID;

-- Links that central took away with an entity whose removal is held: they stay as long as it does.
CREATE TABLE held_link (
    scope     INTEGER NOT NULL,
    type      INTEGER NOT NULL,
    owner_key BLOB    NOT NULL,
    predicate INTEGER NOT NULL,
    value_key BLOB    NOT NULL,
    PRIMARY KEY (scope, owner_key, predicate, value_key)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- local: what TAO's own database was given

-- mark: hash of what all orgs held of the entity then; empty when it is to be compared again. predicates: codes of all
-- that were ever given, a list; only these are replaced in TAO's database. brought = 1: TAO had nothing of it before.
CREATE TABLE tao_given (
    type       INTEGER NOT NULL,
    uri        TEXT    NOT NULL,
    mark       BLOB    NOT NULL,
    predicates TEXT    NOT NULL,
    brought    INTEGER NOT NULL,
    PRIMARY KEY (type, uri)
) STRICT, WITHOUT ROWID;

-- Deliveries that were handed to TAO's own import, with which files. state: running | done | failed.
CREATE TABLE tao_import (
    delivery TEXT    NOT NULL PRIMARY KEY,
    tree     BLOB    NOT NULL,
    state    TEXT    NOT NULL,
    reason   TEXT,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- packages, both roles

-- One published version of a delivery. key = delivery key, sealed. On local: state fetching | ready | failed.
CREATE TABLE package (
    id          BLOB    NOT NULL PRIMARY KEY,
    delivery    TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    reference   TEXT    NOT NULL,
    key         BLOB,
    tree        BLOB,
    compiled    BLOB,
    reason      TEXT,
    at          INTEGER NOT NULL,
    UNIQUE (delivery, version)
) STRICT;
CREATE INDEX package_tree ON package (reference ->> 'tree_digest');

-- When the key of a package is handed out; without a row, at once. codes = 1: unlock codes open it before. locked: at
-- local, the key under this machine's key and its code.
CREATE TABLE package_release (
    package    BLOB    NOT NULL PRIMARY KEY,
    release_at INTEGER NOT NULL,
    codes      INTEGER NOT NULL,
    locked     BLOB
) STRICT, WITHOUT ROWID;

-- Central: machines that hold a key under their code.
CREATE TABLE package_coded (
    package BLOB    NOT NULL,
    node    BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (package, node)
) STRICT, WITHOUT ROWID;

-- Central: machines that were given the key of a package to open it at once.
CREATE TABLE package_given (
    package BLOB    NOT NULL,
    node    BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (package, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_given_node ON package_given (node);

-- Ciphertext chunks in the object store; dying_at is set while garbage collection waits.
CREATE TABLE chunk (
    name     BLOB    NOT NULL PRIMARY KEY,
    bytes    INTEGER NOT NULL,
    dying_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE package_chunk (
    chunk   BLOB NOT NULL,
    package BLOB NOT NULL,
    PRIMARY KEY (chunk, package)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_chunk_package ON package_chunk (package);

-- ---------------------------------------------------------------- local: executions and the outbox

-- version: number of the item the next finish makes, or the last one made; previous: digest of the version before;
-- digest: of the item it has made. reason is sealed: somebody's own words.
CREATE TABLE execution (
    id              BLOB    NOT NULL PRIMARY KEY,
    org             TEXT    NOT NULL,
    delivery        TEXT    NOT NULL,
    test_taker      TEXT    NOT NULL,
    package_version INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    reason          BLOB,
    version         INTEGER NOT NULL,
    previous        BLOB,
    digest          BLOB,
    started_at      INTEGER NOT NULL,
    finished_at     INTEGER,
    resume_until    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX execution_state ON execution (state);
CREATE INDEX execution_taker ON execution (test_taker, delivery);

-- What the runner saved, numbered in its order: variables, log entries, position. save: the runner's id, so that a
-- repeated request stores nothing twice. Erased when the reactivation window is over.
CREATE TABLE execution_part (
    execution BLOB    NOT NULL,
    no        INTEGER NOT NULL,
    save      BLOB,
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    body      BLOB    NOT NULL,
    PRIMARY KEY (execution, no)
) STRICT;
CREATE UNIQUE INDEX execution_part_save ON execution_part (execution, save) WHERE save IS NOT NULL;

-- What local hands in. A row is written again when central answers, so it is narrow: what never changes stands in
-- outbox_content, central's word in outbox_receipt. ended: how an attempt ended; bytes: of the sealed payload, none once it
-- is erased; state: pending | sent | refused; hidden = 1: not shown any more (delete_after_send).
CREATE TABLE outbox (
    id             BLOB    NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL,
    item           BLOB    NOT NULL,
    version        INTEGER NOT NULL,
    org            TEXT    NOT NULL,
    execution      BLOB,
    ended          TEXT,
    digest         BLOB    NOT NULL,
    bytes          INTEGER,
    state          TEXT    NOT NULL,
    made_at        INTEGER NOT NULL,
    tries          INTEGER NOT NULL,
    last_code      TEXT,
    last_reason    TEXT,
    receipt_no     INTEGER,
    receipt_status TEXT,
    sent_at        INTEGER,
    hidden         INTEGER NOT NULL,
    UNIQUE (item, kind, version)
) STRICT, WITHOUT ROWID;
-- What is picked and counted next is read from this index alone; SQLite believes that only if state is in it.
CREATE INDEX outbox_pending ON outbox (org, version, id, kind, ended, bytes, state) WHERE state = 'pending';
CREATE INDEX outbox_refused ON outbox (item, state) WHERE state = 'refused';
CREATE INDEX outbox_receipt_no ON outbox (org, receipt_no) WHERE state = 'sent' AND bytes IS NOT NULL;
CREATE INDEX outbox_hidden ON outbox (org, receipt_no) WHERE hidden = 1 AND bytes IS NOT NULL;
CREATE INDEX outbox_conflict ON outbox (item) WHERE receipt_status = 'conflict';

-- payload is the sealed item. content: blind index of what was sealed for the results keys, as sealing the same again
-- gives other bytes.
CREATE TABLE outbox_content (
    id       BLOB NOT NULL PRIMARY KEY,
    envelope TEXT NOT NULL,
    payload  BLOB,
    content  BLOB
) STRICT;

-- Results as they were before they were sealed for the results keys, to be shown here until the reactivation window is over.
CREATE TABLE outbox_readable (
    id      BLOB    NOT NULL PRIMARY KEY,
    until   INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT;

-- The newest receipt for an item with its proof (model::item::Receipt); the rest of its fields stand in outbox. path: the
-- hashes beside the way from leaf to root, 32 bytes each. audit_no, audit_digest: where central's audit log ended.
CREATE TABLE outbox_receipt (
    id           BLOB    NOT NULL PRIMARY KEY,
    v            INTEGER NOT NULL,
    central      BLOB    NOT NULL,
    epoch        BLOB    NOT NULL,
    org          TEXT    NOT NULL,
    received_at  TEXT    NOT NULL,
    out_of_scope INTEGER NOT NULL,
    signature    BLOB    NOT NULL,
    leaf         INTEGER NOT NULL,
    leaves       INTEGER NOT NULL,
    path         BLOB    NOT NULL,
    audit_no     INTEGER NOT NULL,
    audit_digest BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_receipt_epoch ON outbox_receipt (central, epoch);

-- ---------------------------------------------------------------- central: what came in

-- head = 1 on the newest version of an item that is not in conflict. handed_in_by: the node that sent it, when known.
-- sealed = 1: payload was sealed for the results keys here, on arrival; digest is of what arrived.
-- payload: none once it was erased. word, leaf: the node's word for it and its place there; none of a TAO box.
CREATE TABLE received (
    id           BLOB    NOT NULL PRIMARY KEY,
    kind         TEXT    NOT NULL,
    item         BLOB    NOT NULL,
    version      INTEGER NOT NULL,
    digest       BLOB    NOT NULL,
    org          TEXT    NOT NULL,
    origin       BLOB    NOT NULL,
    handed_in_by BLOB,
    envelope     TEXT    NOT NULL,
    payload      BLOB,
    sealed       INTEGER NOT NULL,
    delivery     TEXT,
    test_taker   TEXT,
    status       TEXT    NOT NULL,
    head         INTEGER NOT NULL,
    out_of_scope INTEGER NOT NULL,
    receipt_no   INTEGER NOT NULL UNIQUE,
    received_at  INTEGER NOT NULL,
    word         BLOB,
    leaf         INTEGER,
    UNIQUE (item, kind, version, digest, org)
) STRICT;
CREATE INDEX received_org ON received (org, receipt_no);
CREATE INDEX received_delivery ON received (delivery, receipt_no);
CREATE INDEX received_conflict ON received (receipt_no) WHERE status = 'conflict';

-- A node's word for items it handed in together: Ed25519 by `signer` over the root of their leaves, 32 bytes each
-- (vault::item_proof).
CREATE TABLE received_word (
    id        BLOB NOT NULL PRIMARY KEY,
    signer    BLOB NOT NULL,
    signature BLOB NOT NULL,
    leaves    BLOB NOT NULL
) STRICT;

-- Who opens results: results are sealed for these age recipients. rehearsed_at: when its identity opened a test result.
CREATE TABLE results_key (
    recipient    TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    added_at     INTEGER NOT NULL,
    rehearsed_at INTEGER
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- results and a TAO's own database

-- local: executions of a TAO that became items. name: TAO's id; version: the item made last; ended: its end as TAO writes it;
-- seen: what a first look showed of its variables; content: blind index of what the item was made of; told: the version
-- that TAO's own tables name as handed in.
CREATE TABLE tao_taken (
    item    BLOB    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    ended   TEXT,
    seen    TEXT    NOT NULL,
    content BLOB    NOT NULL,
    told    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tao_taken_untold ON tao_taken (item) WHERE told < version;

-- local: log rows of a TAO, and the item that each first went into.
CREATE TABLE tao_taken_log (
    row     INTEGER NOT NULL PRIMARY KEY,
    item    BLOB    NOT NULL,
    kind    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    told    INTEGER NOT NULL
) STRICT;
CREATE INDEX tao_taken_log_untold ON tao_taken_log (item) WHERE told = 0;

-- central: what became of received items that were to be written into a TAO's database. id: of received; state: written |
-- waiting | passed; online: the execution there; marks: of the variables that came with this version, sealed.
CREATE TABLE tao_written (
    id         BLOB    NOT NULL PRIMARY KEY,
    receipt_no INTEGER NOT NULL,
    item       BLOB    NOT NULL,
    state      TEXT    NOT NULL,
    online     TEXT,
    marks      BLOB,
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tao_written_no ON tao_written (receipt_no);
CREATE INDEX tao_written_waiting ON tao_written (receipt_no) WHERE state = 'waiting';
CREATE INDEX tao_written_item ON tao_written (item);

-- ---------------------------------------------------------------- who is who

-- A person or program allowed to ask this central for tokens. stranger: key of the last machine that was refused because the
-- consumer is another's. secret_no: how often the secret was changed. old_hash, old_until: the secret before, good until then
-- or until the new one is used.
CREATE TABLE consumer (
    id           BLOB    NOT NULL PRIMARY KEY,
    client_key   TEXT    NOT NULL UNIQUE,
    secret_hash  BLOB    NOT NULL,
    secret_no    INTEGER NOT NULL DEFAULT 0,
    old_hash     BLOB,
    old_until    INTEGER,
    user         BLOB    NOT NULL,
    role         TEXT    NOT NULL,
    stranger     TEXT,
    stranger_node BLOB,
    stranger_at  INTEGER,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at   INTEGER,
    -- URI of the sync manager whose handshakes give this consumer: to all TAO boxes, or to the machine with this key.
    handshake_of  TEXT,
    handshake_key TEXT,
    -- Since when that manager is known to be none any more, or not of its organisations.
    orphaned_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE consumer_org (
    consumer BLOB NOT NULL,
    org      TEXT NOT NULL,
    PRIMARY KEY (consumer, org)
) STRICT, WITHOUT ROWID;

-- Keys of the machines that may use a consumer: the first that came, and those that follow it by its own word.
CREATE TABLE consumer_key (
    consumer   BLOB    NOT NULL,
    thumbprint TEXT    NOT NULL,
    bound_at   INTEGER NOT NULL,
    PRIMARY KEY (consumer, thumbprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX consumer_key_thumbprint ON consumer_key (thumbprint);

-- Codes that give a consumer to one machine, once. hash: of the secret in the code; used_by: key of the machine that used it.
CREATE TABLE enrolment_code (
    hash       BLOB    NOT NULL PRIMARY KEY,
    consumer   BLOB    NOT NULL,
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    used_by    TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolment_code_consumer ON enrolment_code (consumer);

-- Proofs of requests that are taken once only. id: hash of key and identity of the proof.
CREATE TABLE proof_seen (
    id BLOB    NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX proof_seen_at ON proof_seen (at);

CREATE TABLE token (
    hash       BLOB    NOT NULL PRIMARY KEY,
    consumer   BLOB    NOT NULL,
    org        TEXT    NOT NULL,
    node       BLOB,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_consumer ON token (consumer, node, org, issued_at);
CREATE INDEX token_expires ON token (expires_at);

-- Local servers as central knows them. lost_at: since when the machine is known to be lost or stolen.
CREATE TABLE node (
    id         BLOB    NOT NULL PRIMARY KEY,
    thumbprint TEXT    NOT NULL,
    public_key BLOB    NOT NULL,
    recipient  TEXT    NOT NULL,
    consumer   BLOB    NOT NULL,
    version    TEXT    NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    revoked_at INTEGER,
    lost_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX node_consumer ON node (consumer);
CREATE INDEX node_thumbprint ON node (thumbprint);

-- continuation: the word a node chose at its last sync of an org, which was its steps-th (model::continuation); steps -1:
-- this central was restored, whatever comes is taken once. diverged: copied | old, since diverged_at. behind_at: since
-- when the node is known to have met a newer state of this central.
CREATE TABLE node_org (
    node         BLOB    NOT NULL,
    org          TEXT    NOT NULL,
    steps        INTEGER NOT NULL DEFAULT 0,
    continuation TEXT,
    diverged     TEXT,
    diverged_at  INTEGER,
    behind_at    INTEGER,
    report       TEXT,
    reported_at  INTEGER,
    PRIMARY KEY (node, org)
) STRICT, WITHOUT ROWID;

-- Keys of test runners on local. orgs: JSON list of the organisations a key opens; none for all of this server.
CREATE TABLE runner_key (
    hash       BLOB    NOT NULL PRIMARY KEY,
    label      TEXT    NOT NULL,
    orgs       TEXT,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- Who may sign in at the pages of this server; login and password hash are sealed.
CREATE TABLE account (
    id           BLOB    NOT NULL PRIMARY KEY,
    login_index  BLOB    NOT NULL UNIQUE,
    login        BLOB    NOT NULL,
    role         TEXT    NOT NULL,
    orgs         TEXT    NOT NULL,
    password     BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    password_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Signed in now: an account of this server, or a sync manager by URI. The mark changes with the password.
CREATE TABLE account_session (
    hash         BLOB    NOT NULL PRIMARY KEY,
    account      BLOB,
    manager      TEXT,
    mark         BLOB    NOT NULL,
    opened_at    INTEGER NOT NULL,
    used_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- what happened

-- One record a sync, on both sides. outcome: running | success | partial | failed | interrupted.
CREATE TABLE sync_run (
    id         BLOB    NOT NULL PRIMARY KEY,
    node       BLOB    NOT NULL,
    org        TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    what       TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    outcome    TEXT    NOT NULL,
    code       TEXT,
    reason     TEXT,
    summary    TEXT    NOT NULL
) STRICT;
CREATE INDEX sync_run_org ON sync_run (org, id);
CREATE INDEX sync_run_node ON sync_run (node, org, started_at);

-- Reports to central that were not answered yet.
CREATE TABLE report_queue (
    id     BLOB NOT NULL PRIMARY KEY,
    remote BLOB NOT NULL,
    org    TEXT NOT NULL,
    body   TEXT NOT NULL
) STRICT;

-- People who were erased, by keyed hash of their URI: their results come in without payload, and an older backup does not
-- bring them back.
CREATE TABLE erased_subject (
    subject BLOB    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every authenticated act, only ever added to: each entry holds the digest of the one before and is signed by the node key
-- `signer` (vault::audit_chain). Ids and names of acts only: no personal data, no secrets.
CREATE TABLE audit (
    no        INTEGER NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    act       TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    previous  BLOB    NOT NULL,
    digest    BLOB    NOT NULL,
    signer    BLOB    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER audit_undeleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
-- REPLACE would delete without a DELETE; a number that was left out would look like a removal.
CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
WHEN NEW.no IS NOT (SELECT coalesce(max(no), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;

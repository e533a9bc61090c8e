//! URIs of TAO's ontology (WIRE §1). Only what taosync itself has to understand is named here.

use crate::EntityType;

/// `rdf:type`.
pub const RDF_TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
/// `rdfs:label`.
pub const RDFS_LABEL: &str = "http://www.w3.org/2000/01/rdf-schema#label";
/// `rdfs:subClassOf`, found on classes only.
pub const RDFS_SUB_CLASS_OF: &str = "http://www.w3.org/2000/01/rdf-schema#subClassOf";
/// `rdfs:member`, the parent property of center assignments.
pub const RDFS_MEMBER: &str = "http://www.w3.org/2000/01/rdf-schema#member";
/// `rdfs:Class`, the type of a class.
pub const RDFS_CLASS: &str = "http://www.w3.org/2000/01/rdf-schema#Class";

/// When a resource was made; never synced by default (WIRE §2.1).
pub const CREATED_AT: &str = "http://www.taotesting.com/Ontologies/TAO.rdf#CreatedAt";
/// When a resource was changed; never synced by default (WIRE §2.1).
pub const UPDATED_AT: &str = "http://www.tao.lu/Ontologies/TAO.rdf#UpdatedAt";
/// The organisation id of a test center.
pub const ORGANISATION_ID: &str = "http://www.taotesting.com/ontologies/synchro.rdf#organisationId";

/// On a delivery: where TAO keeps the package the delivery was made from.
pub const ORIGIN_TEST_PACKAGE: &str = "http://www.taotesting.com/ontologies/synchro.rdf#OriginTestPackage";
/// On a user: the OAuth consumer that a handshake made for it.
pub const CONSUMER_USER: &str = "http://www.tao.lu/Ontologies/taoSync.rdf#ConsumerUser";

/// A user's login name.
pub const USER_LOGIN: &str = "http://www.tao.lu/Ontologies/generis.rdf#login";
/// A user's password in TAO's form: 10 characters of salt, then hex SHA-256 of salt and password (WIRE §3).
pub const USER_PASSWORD: &str = "http://www.tao.lu/Ontologies/generis.rdf#password";
/// A user's roles.
pub const USER_ROLES: &str = "http://www.tao.lu/Ontologies/generis.rdf#userRoles";
/// A user's first name.
pub const USER_FIRST_NAME: &str = "http://www.tao.lu/Ontologies/generis.rdf#userFirstName";
/// A user's last name.
pub const USER_LAST_NAME: &str = "http://www.tao.lu/Ontologies/generis.rdf#userLastName";
/// A user's e-mail address.
pub const USER_MAIL: &str = "http://www.tao.lu/Ontologies/generis.rdf#userMail";
/// A user's interface language.
pub const USER_INTERFACE_LANGUAGE: &str = "http://www.tao.lu/Ontologies/generis.rdf#userUILg";
/// A user's data language.
pub const USER_DEFAULT_LANGUAGE: &str = "http://www.tao.lu/Ontologies/generis.rdf#userDefLg";

/// On an administrator: the center administrated.
pub const ADMINISTRATOR_OF: &str = "http://www.tao.lu/Ontologies/TAOTestCenter.rdf#administrator";
/// On a proctor: the center where the proctor works.
pub const ASSIGNED_PROCTOR: &str = "http://www.tao.lu/Ontologies/TAOTestCenter.rdf#assignedProctor";
/// On a proctor: a center that authorised the proctor; excluded from proctor sync by default.
pub const AUTHORIZED_PROCTOR: &str = "http://www.tao.lu/Ontologies/TAOTestCenter.rdf#authorizedProctor";
/// On a sync manager: the center served. The host differs from the others, as in TAO.
pub const ASSIGNED_SYNC_USER: &str = "http://www.taotesting.com/Ontologies/TAOTestCenter.rdf#assignedSyncUser";
/// On a center: its sub centers.
pub const CENTER_CHILDREN: &str = "http://www.tao.lu/Ontologies/TAOTestCenter.rdf#children";
/// On a test taker: the eligibilities; the URI has no `.rdf`, as in TAO.
pub const USER_ASSIGNMENT: &str = "http://www.tao.lu/Ontologies/TAOTestCenter#UserAssignment";

/// On an eligibility: its center.
pub const ELIGIBLE_TEST_CENTER: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestCenter";
/// On an eligibility: its delivery.
pub const ELIGIBLE_DELIVERY: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileDelivery";
/// On an eligibility: its test takers. Always stored and sent as link rows.
pub const ELIGIBLE_TEST_TAKER: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestTaker";
/// On an eligibility: whether a proctor is needed.
pub const BY_PASS_PROCTOR: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#ByPassProctor";

/// On a delivery: test takers shut out.
pub const EXCLUDED_SUBJECTS: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#ExcludedSubjects";
/// On a delivery: the test it was made from; not synced.
pub const DELIVERY_ORIGIN: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#AssembledDeliveryOrigin";
/// On a delivery: where it was compiled; not synced.
pub const DELIVERY_DIRECTORY: &str =
    "http://www.tao.lu/Ontologies/TAODelivery.rdf#AssembledDeliveryCompilationDirectory";
/// On a delivery: when it was compiled; not synced.
pub const DELIVERY_TIME: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#AssembledDeliveryCompilationTime";
/// On a delivery: its runtime; not synced.
pub const DELIVERY_RUNTIME: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#AssembledDeliveryRuntime";
/// On a delivery: its container; not synced.
pub const DELIVERY_CONTAINER: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#AssembledDeliveryContainer";

/// The boolean "true" of the ontology.
pub const GENERIS_TRUE: &str = "http://www.tao.lu/Ontologies/generis.rdf#True";
/// The boolean "false" of the ontology.
pub const GENERIS_FALSE: &str = "http://www.tao.lu/Ontologies/generis.rdf#False";

/// Root class of test centers.
pub const CLASS_TEST_CENTER: &str = "http://www.tao.lu/Ontologies/TAOTestCenter.rdf#TestCenter";
/// Root class of administrators, proctors and sync managers.
pub const CLASS_TAO_USER: &str = "http://www.tao.lu/Ontologies/TAO.rdf#User";
/// Root class of test takers.
pub const CLASS_SUBJECT: &str = "http://www.tao.lu/Ontologies/TAOSubject.rdf#Subject";
/// Root class of eligibilities.
pub const CLASS_ELIGIBILITY: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#DeliveryEligibility";
/// Root class of deliveries.
pub const CLASS_DELIVERY: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#AssembledDelivery";

/// Role of administrators.
pub const ROLE_ADMINISTRATOR: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#TestCenterAdministratorRole";
/// Role of proctors.
pub const ROLE_PROCTOR: &str = "http://www.tao.lu/Ontologies/TAOProctor.rdf#ProctorRole";
/// Role of test takers.
pub const ROLE_TEST_TAKER: &str = "http://www.tao.lu/Ontologies/TAO.rdf#DeliveryRole";
/// Role of sync managers and of OAuth consumers.
pub const ROLE_SYNC_MANAGER: &str = "http://www.tao.lu/Ontologies/generis.rdf#taoSyncManager";

/// The relation predicates: their values are URIs of other entities, and what points outside an org is not shown to
/// it (DESIGN §4).
pub const RELATIONS: [&str; 11] = [
    ADMINISTRATOR_OF,
    ASSIGNED_PROCTOR,
    AUTHORIZED_PROCTOR,
    ASSIGNED_SYNC_USER,
    CENTER_CHILDREN,
    RDFS_MEMBER,
    USER_ASSIGNMENT,
    ELIGIBLE_TEST_CENTER,
    ELIGIBLE_DELIVERY,
    ELIGIBLE_TEST_TAKER,
    EXCLUDED_SUBJECTS,
];

/// Whether values of this predicate name other entities.
pub fn is_relation(predicate: &str) -> bool {
    RELATIONS.contains(&predicate)
}

/// The root class of a type (WIRE §2).
pub const fn root_class(entity_type: EntityType) -> &'static str {
    match entity_type {
        EntityType::Class => RDFS_CLASS,
        EntityType::TestCenter => CLASS_TEST_CENTER,
        EntityType::Administrator | EntityType::Proctor | EntityType::SyncManager => CLASS_TAO_USER,
        EntityType::TestTaker => CLASS_SUBJECT,
        EntityType::Eligibility => CLASS_ELIGIBILITY,
        EntityType::Delivery => CLASS_DELIVERY,
    }
}

/// The predicates TAO leaves out by default (WIRE §2.1).
pub fn excluded_by_default(entity_type: EntityType) -> &'static [&'static str] {
    match entity_type {
        EntityType::Proctor => &[UPDATED_AT, CREATED_AT, AUTHORIZED_PROCTOR],
        EntityType::Delivery => &[
            UPDATED_AT,
            CREATED_AT,
            DELIVERY_ORIGIN,
            DELIVERY_DIRECTORY,
            DELIVERY_TIME,
            DELIVERY_RUNTIME,
            DELIVERY_CONTAINER,
        ],
        _ => &[UPDATED_AT, CREATED_AT],
    }
}

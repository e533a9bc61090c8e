//! URIs of TAO's ontology that only its own database needs (WIRE §1.2).

/// Class of delivery executions.
pub const CLASS_EXECUTION: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecution";
/// On an execution: its delivery.
pub const EXECUTION_DELIVERY: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionDelivery";
/// On an execution: its test taker.
pub const EXECUTION_SUBJECT: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionSubject";
/// On an execution: when it began.
pub const EXECUTION_START: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStart";
/// On an execution: when it ended.
pub const EXECUTION_END: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionEnd";
/// On an execution: its state.
pub const EXECUTION_STATUS: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#StatusOfDeliveryExecution";
/// On a test: its QTI identifier.
pub const QTI_TEST_IDENTIFIER: &str = "http://www.tao.lu/Ontologies/TAOTest.rdf#QtiTestIdentifier";
/// On an item: its QTI identifier.
pub const QTI_ITEM_IDENTIFIER: &str = "http://www.tao.lu/Ontologies/TAOItem.rdf#QtiItemIdentifier";

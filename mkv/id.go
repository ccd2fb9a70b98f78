package mkv

import "fmt"

// The element ids this package knows, as RFC 9559 section 5.1 writes them
// (length marker included).
const (
	IDEBML            uint32 = 0x1A45DFA3
	IDVoid            uint32 = 0xEC
	IDCRC32           uint32 = 0xBF
	IDSegment         uint32 = 0x18538067
	IDSeekHead        uint32 = 0x114D9B74
	IDInfo            uint32 = 0x1549A966
	IDTracks          uint32 = 0x1654AE6B
	IDTags            uint32 = 0x1254C367
	IDCues            uint32 = 0x1C53BB6B
	IDAttachments     uint32 = 0x1941A469
	IDChapters        uint32 = 0x1043A770
	IDCluster         uint32 = 0x1F43B675
	IDTimecode        uint32 = 0xE7
	IDPosition        uint32 = 0xA7
	IDPrevSize        uint32 = 0xAB
	IDSimpleBlock     uint32 = 0xA3
	IDBlockGroup      uint32 = 0xA0
	IDBlock           uint32 = 0xA1
	IDBlockDuration   uint32 = 0x9B
	IDReferenceBlock  uint32 = 0xFB
	IDBlockAdditions  uint32 = 0x75A1
	IDDiscardPadding  uint32 = 0x75A2
	idEBMLVersion     uint32 = 0x4286
	idEBMLReadVersion uint32 = 0x42F7
	idMaxIDLength     uint32 = 0x42F2
	idMaxSizeLength   uint32 = 0x42F3
	idDocType         uint32 = 0x4282
	idDocTypeVersion  uint32 = 0x4287
	idDocTypeRead     uint32 = 0x4285
	idTimecodeScale   uint32 = 0x2AD7B1
	idDuration        uint32 = 0x4489
	idMuxingApp       uint32 = 0x4D80
	idWritingApp      uint32 = 0x5741
	idTitle           uint32 = 0x7BA9
	idSegmentUID      uint32 = 0x73A4
	idTrackEntry      uint32 = 0xAE
	idTrackNumber     uint32 = 0xD7
	idTrackUID        uint32 = 0x73C5
	idTrackType       uint32 = 0x83
	idTrackName       uint32 = 0x536E
	idLanguage        uint32 = 0x22B59C
	idCodecID         uint32 = 0x86
	idCodecPrivate    uint32 = 0x63A2
	idDefaultDuration uint32 = 0x23E383
	idVideo           uint32 = 0xE0
	idPixelWidth      uint32 = 0xB0
	idPixelHeight     uint32 = 0xBA
	idAudio           uint32 = 0xE1
	idSamplingFreq    uint32 = 0xB5
	idChannels        uint32 = 0x9F
	idBitDepth        uint32 = 0x6264
	idTag             uint32 = 0x7373
	idTargets         uint32 = 0x63C0
	idTargetTypeValue uint32 = 0x68CA
	idTargetType      uint32 = 0x63CA
	idTagTrackUID     uint32 = 0x63C5
	idSimpleTag       uint32 = 0x67C8
	idTagName         uint32 = 0x45A3
	idTagString       uint32 = 0x4487
	idTagBinary       uint32 = 0x4485
	idTagLanguage     uint32 = 0x447A
)

// elementName is the name an error message uses for an id.
func elementName(id uint32) string {
	switch id {
	case IDEBML:
		return "EBML header"
	case IDSegment:
		return "Segment"
	case IDInfo:
		return "Info"
	case IDTracks:
		return "Tracks"
	case IDTags:
		return "Tags"
	case IDCluster:
		return "Cluster"
	case IDTimecode:
		return "Timecode"
	case IDSimpleBlock:
		return "SimpleBlock"
	case IDBlockGroup:
		return "BlockGroup"
	case IDBlock:
		return "Block"
	case IDBlockDuration:
		return "BlockDuration"
	case IDReferenceBlock:
		return "ReferenceBlock"
	}
	return fmt.Sprintf("element %X", id)
}
